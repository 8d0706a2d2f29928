import json
import sys
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import UserError
from tasks.data.columns import Columns
from tasks.data.companions.joined_files import (
    JOINED_FILES,
    load_joined_files,
    names_by_column,
    open_joined_file,
    read_joined_file,
)
from tasks.data.files.detection import TEXT
from tasks.data.ingest import IngestConfig, list_source_files, localize_joined_files, read_chunks
from tasks.data.sources import Source, open_file
from tasks.data.validation import IngestState
from tests.conftest import COLUMNS, movie, write_csv

CAST = [{"name": name, "order": order} for order, name in enumerate(("Tom Hanks", "Tim Allen"))]
CREW = [{"job": "Director", "name": "John Lasseter"}, {"job": "Editor", "name": "Lee Unkrich"}]


def credits_row(movie_id: str, **changes: str) -> dict[str, str]:
    return {"cast": repr(CAST), "crew": repr(CREW), "id": movie_id} | changes


def write_credits(path: Path, *rows: dict[str, str]) -> Path:
    return write_csv(path, list(rows), ["cast", "crew", "id"])


def write_keywords(path: Path, cells: dict[str, str]) -> Path:
    rows = [{"id": movie_id, "keywords": cell} for movie_id, cell in cells.items()]
    return write_csv(path, rows, ["id", "keywords"])


def join(path: Path, joined: dict) -> list[dict]:
    """Movies of a small source with joined names."""
    state = IngestState("m", names_by_column(joined))
    (chunk,) = read_chunks(open_file(path), 100, state)
    return chunk.movies.to_pylist()


def test_keywords_and_people_are_joined_by_id(tmp_path):
    movies = write_csv(tmp_path / "m.csv", [movie(1, "Horror"), movie(2, "Music")])
    keywords = write_keywords(tmp_path / "k.csv", {"1001": "[{'name': 'haunted house'}]"})
    credits = write_credits(tmp_path / "c.csv", credits_row("1001"), credits_row("77"))
    files = {"keywords": str(keywords), "credits": str(credits)}
    first, second = join(movies, load_joined_files(files, Columns()))
    assert first["keywords"] == ["Haunted House"]
    assert first["people"] == ["John Lasseter", "Tom Hanks", "Tim Allen"]
    assert (second["keywords"], second["people"]) == ([], [])


def test_joined_names_follow_those_of_the_row_each_once(tmp_path):
    row = movie(1, "Horror") | {"director": "Lee Unkrich", "actors": "Tom Hanks|Joan Cusack"}
    movies = write_csv(tmp_path / "m.csv", [row], [*COLUMNS, "director", "actors"])
    credits = write_credits(tmp_path / "c.csv", credits_row("1001"))
    (joined,) = join(movies, load_joined_files({"credits": str(credits)}, Columns()))
    assert joined["people"] == [
        *("Lee Unkrich", "Tom Hanks", "Joan Cusack"),
        *("John Lasseter", "Tim Allen"),
    ]


def test_unreadable_rows_are_counted_and_the_others_are_read(tmp_path):
    credits = write_credits(
        tmp_path / "c.csv",
        credits_row("1"),
        credits_row(""),
        credits_row("3", cast="[{'name': "),
        credits_row("4", crew="[{'name': 'John Lasseter'}]"),
        credits_row("5", cast="[]", crew=""),
    )
    keywords = write_keywords(tmp_path / "k.csv", {"1": "[]", " NA ": "[]", "2": "[["})
    files = {"keywords": str(keywords), "credits": str(credits)}
    joined = load_joined_files(files, Columns())
    assert (set(joined["credits"].by_id), joined["credits"].unreadable) == ({"1", "5"}, 3)
    assert joined["keywords"] == ({"1": ()}, 2)


def test_a_row_with_too_few_fields_is_unreadable():
    source = Source("k.csv", ["id", "keywords"], {"id": 0, "keywords": 1}, iter([["1"]]), TEXT)
    assert read_joined_file(source, JOINED_FILES["keywords"].read_names) == ({}, 1)


def test_blank_keywords_are_ignored(tmp_path):
    file = write_keywords(
        tmp_path / "k.csv", {"1": json.dumps([{"name": "\xa0"}, {"name": "Toy"}])}
    )
    joined = load_joined_files({"keywords": str(file)}, Columns())
    assert joined["keywords"] == ({"1": ("Toy",)}, 0)


def test_without_files_nothing_is_joined():
    joined = load_joined_files({}, Columns())
    assert names_by_column(joined) == {"keywords": {}, "people": {}}


def test_credits_can_be_a_parquet_file_with_nested_values(tmp_path):
    pq.write_table(
        pa.Table.from_pylist([{"movie_id": 7, "cast": CAST, "crew": CREW}]), tmp_path / "c.parquet"
    )
    joined = load_joined_files({"credits": str(tmp_path / "c.parquet")}, Columns())
    assert joined["credits"].by_id == {"7": ("John Lasseter", "Tom Hanks", "Tim Allen")}


def test_the_mapping_of_the_source_need_not_fit_a_joined_file(tmp_path):
    columns = Columns(id="code", overview="story", cast="players")
    file = write_credits(tmp_path / "c.csv", credits_row("7"))
    assert load_joined_files({"credits": str(file)}, columns)["credits"].by_id.keys() == {"7"}
    mapped = write_csv(tmp_path / "k.csv", [{"code": "8", "keywords": "Toy"}], ["code", "keywords"])
    joined = load_joined_files({"keywords": str(mapped)}, columns)
    assert joined["keywords"].by_id == {"8": ("Toy",)}


def test_the_error_for_a_missing_column_says_what_the_file_needs(tmp_path):
    path = write_csv(tmp_path / "c.csv", [], ["id", "cast"])
    with pytest.raises(UserError) as error:
        open_joined_file("credits", path, Columns())
    assert str(error.value) == (
        "c.csv: no column 'crew' (has: id, cast). --ingest.credits needs columns id, cast, crew."
    )


def test_a_pattern_that_matches_several_files_is_rejected(tmp_path):
    for name in ("a", "b"):
        write_credits(tmp_path / f"credits-{name}.csv", credits_row("1"))
    with pytest.raises(UserError, match=r"--ingest\.credits .* matches 2 files, not 1"):
        load_joined_files({"credits": str(tmp_path / "credits-*.csv")}, Columns())


def test_remote_files_are_downloaded(artifacts, tmp_path):
    content = write_credits(tmp_path / "c.csv", credits_row("1")).read_bytes()
    fsspec.filesystem("memory").pipe("/credits.csv", content)
    config = localize_joined_files(IngestConfig(credits="memory://credits.csv"))
    assert config.credits is not None
    assert artifacts in Path(config.credits).parents
    assert Path(config.credits).read_bytes() == content


def test_kaggles_own_files_are_downloaded_by_name(monkeypatch, tmp_path):
    kagglehub = SimpleNamespace(dataset_download=lambda _, path: str(tmp_path / path))
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)
    config = localize_joined_files(IngestConfig(keywords="kaggle", credits="kaggle"))
    assert config.keywords == str(tmp_path / "keywords.csv")
    assert config.credits == str(tmp_path / "credits.csv")


def test_joined_files_are_among_the_input_files(tmp_path):
    keywords = write_keywords(tmp_path / "k.csv", {"1": "[]"})
    credits = write_credits(tmp_path / "c.csv", credits_row("1"))
    config = IngestConfig(keywords=str(keywords), credits=str(credits))
    files = list_source_files([], config)
    assert [file.digest.split()[0] for file in files] == ["keywords/k.csv", "credits/c.csv"]
