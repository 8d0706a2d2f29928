import csv
import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.data import ingest as module
from tasks.data.files.detection import TEXT
from tasks.data.ingest import (
    IngestConfig,
    ingest,
    open_sources,
    read_chunks,
)
from tasks.data.sources import Source, open_file
from tests.conftest import COLUMNS, catalogue, movie, write_csv
from tests.support.logs import messages
from tests.support.source_files import append_to, new_state, validate_file

POSITIONS = {name: column for column, name in enumerate(COLUMNS)}
KAGGLE = "[{'id': 18, 'name': 'Drama'}, {'id': 35, 'name': 'Comedy'}]"
cells = st.text(max_size=20) | st.sampled_from(["1", "2", KAGGLE, "A town of ghosts", "False"])


@given(st.lists(st.lists(cells, min_size=5, max_size=8), max_size=12), st.integers(1, 5))
def test_every_row_is_kept_or_quarantined_whatever_the_chunk_size(rows, chunk_rows):
    def read_in_chunks(size: int) -> tuple[list, list]:
        source = Source("m.csv", COLUMNS, POSITIONS, iter(rows), TEXT)
        chunks = list(read_chunks(source, size, new_state()))
        movies = [row for chunk in chunks for row in chunk.movies.to_pylist()]
        return movies, [row for chunk in chunks for row in chunk.quarantine.to_pylist()]

    movies, rejected = read_in_chunks(chunk_rows)
    assert (movies, rejected) == read_in_chunks(100)
    assert sorted(row["row"] for row in movies + rejected) == list(range(1, len(rows) + 1))


def test_an_overview_of_a_megabyte_is_read(tmp_path):
    rows = [movie(1, "Horror") | {"overview": "ghost " * 200_000}, movie(2, "Music")]
    assert validate_file(write_csv(tmp_path / "m.csv", rows)).movies.num_rows == 2


def test_chunks_have_the_configured_number_of_source_rows(tmp_path):
    source = open_file(write_csv(tmp_path / "m.csv", catalogue(25)))
    chunks = read_chunks(source, 10, new_state())
    assert [chunk.movies.num_rows for chunk in chunks] == [10, 10, 5]


def test_typed_parquet_columns_are_read_like_text(tmp_path):
    typed = {"adult": False, "id": 5, "release_date": date(1995, 10, 30), "vote_count": 7.0}
    row = movie(1, "Horror") | typed | {"genres": [{"id": 27, "name": "Horror"}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "m.parquet")
    (result,) = validate_file(tmp_path / "m.parquet").movies.to_pylist()
    assert (result["id"], result["year"], result["vote_count"]) == ("5", 1995, 7)
    assert result["genres"] == ["Horror"]


def test_sources_need_different_names(tmp_path):
    first = write_csv(tmp_path / "a.csv", [movie(1, "Horror")])
    second = write_csv(tmp_path / "b.csv", [movie(1, "Music")])
    opened = open_sources([str(first), str(second)], IngestConfig())
    assert [source.name for source, *_ in opened] == ["a", "b"]
    with pytest.raises(UserError, match="2 sources are named 'a': give each another name"):
        open_sources([str(first), f"a={second}"], IngestConfig())


def rewrite(path: Path) -> None:
    """Write the same bytes again: a concurrent reader may see a part of them."""
    content = path.read_bytes()
    path.write_bytes(b"")
    path.write_bytes(content)


def replace_with_another(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(path.read_bytes().replace(b"Story", b"Tales"))
    new.replace(path)


def error_of_ingest(change: Callable[[Path], None], file: Path, config: IngestConfig) -> str:
    """Error message of ingest if `change` changes a file after the first chunk was read."""
    source, chunk_sizes = file.parent / "movies.csv", []

    def on_rows(count: int) -> None:
        if not chunk_sizes:
            change(file)
        chunk_sizes.append(count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "progress_bar", lambda _: nullcontext(on_rows))
        patch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
        with pytest.raises(UserError) as error:
            ingest.fn([str(source)], config)
    return str(error.value)


@pytest.mark.parametrize("change", [append_to, rewrite, replace_with_another, Path.unlink])
def test_a_source_that_changes_during_ingest_is_rejected(change, tmp_path, artifacts):
    path = write_csv(tmp_path / "movies.csv", catalogue(30))
    message = error_of_ingest(change, path, IngestConfig(chunk_rows=10))
    assert message == "movies.csv changed while it was read: run again when it is complete."
    assert not list((artifacts / "cache" / "ingest").glob("*/ref.json"))


@pytest.mark.parametrize(
    ("kind", "columns"), [("keywords", ["id", "keywords"]), ("credits", ["id", "cast", "crew"])]
)
def test_a_joined_file_that_changes_during_ingest_is_rejected(kind, columns, tmp_path):
    write_csv(tmp_path / "movies.csv", catalogue(30))
    path = write_csv(tmp_path / f"{kind}.csv", [{"id": "1001"}], columns)
    message = error_of_ingest(append_to, path, IngestConfig.model_validate({kind: str(path)}))
    assert message.startswith(f"{kind}.csv changed while it was read")


def test_the_log_says_how_a_file_is_read_where_it_is_not_as_usual(
    tmp_path, artifacts, monkeypatch, caplog
):
    rows = catalogue(30)
    rows[0] |= {"genres": "HORROR"}
    for row in rows[:3]:
        row["release_date"] = "soon"
    text = write_csv(tmp_path / "movies.csv", rows).read_text().replace("1953-02-03", "3.2.1953")
    table = list(csv.reader(text.splitlines()))
    with (tmp_path / "movies.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows(table)
    monkeypatch.setattr(module, "progress_bar", lambda _: nullcontext(lambda _: None))
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
    with caplog.at_level(logging.INFO, "test"):
        ingested = ingest.fn([str(tmp_path / "movies.csv")], IngestConfig())
    assert (ingested.kept, ingested.undated) == (30, 3)
    assert messages(caplog)[1:] == [
        "movies.csv: semicolon-separated, UTF-8 with BOM",
        "Genre Horror: also written HORROR, Horror",
        "movies.csv: 3 movies have no readable year",
    ]


def test_a_source_without_a_column_of_dates_has_no_unreadable_years(tmp_path):
    columns = ["id", "title", "overview", "genres"]
    rows = [{name: row[name] for name in columns} for row in catalogue(9)]
    opened = open_sources([str(write_csv(tmp_path / "m.csv", rows, columns))], IngestConfig())
    assert not module.have_dates(opened)


def test_unreadable_rows_of_joined_files_are_counted_and_logged(
    tmp_path, artifacts, monkeypatch, caplog
):
    movies = write_csv(tmp_path / "movies.csv", catalogue(30))
    rows = [{"id": "1001", "cast": "A, B", "crew": ""}, {"id": "1002", "cast": "[", "crew": ""}]
    credits = write_csv(tmp_path / "credits.csv", rows, ["id", "cast", "crew"])
    monkeypatch.setattr(module, "progress_bar", lambda _: nullcontext(lambda _: None))
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
    ingested = ingest.fn([str(movies)], IngestConfig(credits=str(credits)))
    assert (ingested.unreadable_keywords, ingested.unreadable_credits) == (0, 1)
    assert ingested.files == (
        f"{movies.stem}/{movies.name} {store.file_digest(movies)}",
        f"credits/credits.csv {store.file_digest(credits)}",
    )
    warnings = messages(caplog, logging.WARNING)
    assert warnings == [
        "Credits file: 1 rows cannot be read; their movies get no credits from it",
    ]
    table = pq.read_table(artifacts / ingested.chunks[0].paths[0])
    people = dict(zip(table["id"].to_pylist(), table["people"].to_pylist(), strict=True))
    assert (people["1001"], people["1002"]) == (["A", "B"], [])
