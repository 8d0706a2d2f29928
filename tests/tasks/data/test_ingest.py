import gzip
import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import UserError
from tasks.data import ingest as module
from tasks.data.ingest import (
    ChunkResult,
    IngestConfig,
    IngestState,
    RejectedRow,
    RowCounts,
    check_row,
    ingest,
    load_keywords,
    open_sources,
    read_chunks,
    read_keywords,
)
from tasks.data.source_digests import file_states, read_unchanged
from tasks.data.sources import Columns, Source, open_file
from tests.conftest import COLUMNS, catalogue, movie, write_csv

POSITIONS = {name: at for at, name in enumerate(COLUMNS)}
SOURCE = Source("m.csv", COLUMNS, POSITIONS, iter(()))
KAGGLE = "[{'id': 18, 'name': 'Drama'}, {'id': 35, 'name': 'Comedy'}]"


def new_catalogue(**keywords: tuple[str, ...]) -> IngestState:
    return IngestState("m", set(), {int(key[1:]): value for key, value in keywords.items()})


def sort_file(path: Path, chunk_rows: int = 1000, columns: Columns | None = None) -> ChunkResult:
    """The one chunk of a small file."""
    (found,) = read_chunks(open_file(path, columns or Columns()), chunk_rows, new_catalogue())
    return found


def check(**changes: str) -> dict | RejectedRow:
    cells = movie(1, "Horror") | changes
    return check_row(SOURCE, [cells.get(column, "") for column in COLUMNS], 1)


def test_a_good_row_becomes_a_movie():
    found = check(release_date="1995-10-30", belongs_to_collection="{'name': 'Ghosts'}")
    assert found["title"] == "Horror Story 1"
    assert found["genres"] == ["Horror"]
    assert (found["year"], found["collection"], found["row"]) == (1995, "Ghosts", 1)


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({"id": "1997-08-20"}, "id", "bad_id"),
        ({"title": "  "}, "title", "missing_title"),
        ({"overview": " "}, "overview", "missing_overview"),
        ({"overview": "No overview found."}, "overview", "placeholder_overview"),
        ({"overview": "..."}, "overview", "placeholder_overview"),
        ({"genres": "[18]"}, "genres", "unreadable_genres"),
        ({"adult": " - Written by Ørnås"}, "adult", "shifted_row"),
    ],
)
def test_a_bad_cell_is_named_with_its_reason(changes, column, reason):
    found = check(**changes)
    assert isinstance(found, RejectedRow)
    assert (found.column, found.reason, found.value) == (column, reason, changes[column])


def test_a_row_with_too_few_or_too_many_fields_is_shifted():
    short = check_row(SOURCE, ["False", "", "[]"], 1)
    long = check_row(SOURCE, ["x"] * (len(COLUMNS) + 1), 1)
    assert isinstance(short, RejectedRow)
    assert isinstance(long, RejectedRow)
    assert (short.column, short.reason) == ("id", "shifted_row")
    assert (long.column, long.reason) == ("title", "shifted_row")


def test_the_first_row_of_an_id_is_kept_and_later_ones_quarantined(tmp_path):
    rows = [movie(1, "Horror"), movie(1, "Western"), movie(2, "Music")]
    found = sort_file(write_csv(tmp_path / "m.csv", rows))
    assert found.movies["genres"].to_pylist() == [["Horror"], ["Music"]]
    assert found.quarantine.select(["row", "column", "reason", "value"]).to_pylist() == [
        {"row": 2, "column": "id", "reason": "duplicate_id", "value": "1001"}
    ]


def test_an_id_whose_first_row_was_bad_is_not_a_duplicate(tmp_path):
    rows = [movie(1, "Horror") | {"overview": ""}, movie(1, "Horror")]
    assert sort_file(write_csv(tmp_path / "m.csv", rows)).movies.num_rows == 1


cells = st.text(max_size=20) | st.sampled_from(["1", "2", KAGGLE, "A town of ghosts", "False"])


@given(st.lists(st.lists(cells, min_size=5, max_size=8), max_size=12), st.integers(1, 5))
def test_every_row_is_kept_or_quarantined_wherever_chunks_end(rows, chunk_rows):
    def run(size: int) -> tuple[list, list]:
        source = Source("m.csv", COLUMNS, POSITIONS, iter(rows))
        parts = list(read_chunks(source, size, new_catalogue()))
        kept = [row for part in parts for row in part.movies.to_pylist()]
        return kept, [row for part in parts for row in part.quarantine.to_pylist()]

    kept, rejected = run(chunk_rows)
    assert (kept, rejected) == run(100)
    assert sorted(row["row"] for row in kept + rejected) == list(range(1, len(rows) + 1))


def test_the_raw_value_in_quarantine_is_cut(tmp_path):
    rows = [movie(1, "Horror") | {"genres": "(" * 999}]
    found = sort_file(write_csv(tmp_path / "m.csv", rows))
    assert len(found.quarantine["value"][0].as_py()) == 200


def test_an_overview_of_a_megabyte_costs_no_row(tmp_path):
    rows = [movie(1, "Horror") | {"overview": "ghost " * 200_000}, movie(2, "Music")]
    assert sort_file(write_csv(tmp_path / "m.csv", rows)).movies.num_rows == 2


def test_chunks_hold_the_asked_number_of_source_rows(tmp_path):
    source = open_file(write_csv(tmp_path / "m.csv", catalogue(25)), Columns())
    parts = read_chunks(source, 10, new_catalogue())
    assert [part.movies.num_rows for part in parts] == [10, 10, 5]


def test_parquet_with_types_of_its_own_is_read_like_text(tmp_path):
    typed = {"adult": False, "id": 5, "release_date": date(1995, 10, 30), "vote_count": 7.0}
    row = movie(1, "Horror") | typed | {"genres": [{"id": 27, "name": "Horror"}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "m.parquet")
    (found,) = sort_file(tmp_path / "m.parquet").movies.to_pylist()
    assert (found["id"], found["year"], found["vote_count"]) == (5, 1995, 7)
    assert found["genres"] == ["Horror"]


@pytest.mark.parametrize("adult", ["True", "false", "0", "1", ""])
def test_every_way_to_write_a_flag_is_no_shifted_row(adult):
    assert isinstance(check(adult=adult), dict)


def test_mapped_columns_are_read_and_named_in_quarantine(tmp_path):
    rows = [
        {"tmdb_id": "5", "name": "Alien", "summary": "A ghost ship.", "genre": "Horror|War"},
        {"tmdb_id": "6", "name": "Aliens", "summary": "", "genre": "Horror"},
    ]
    path = write_csv(tmp_path / "m.csv", rows, list(rows[0]))
    found = sort_file(path, columns=Columns(overview="summary"))
    assert found.movies["genres"].to_pylist() == [["Horror", "War"]]
    assert found.quarantine["column"].to_pylist() == ["summary"]


def test_sources_keep_their_ids_apart(tmp_path):
    first = write_csv(tmp_path / "a.csv", [movie(1, "Horror")])
    second = write_csv(tmp_path / "b.csv", [movie(1, "Music")])
    opened = open_sources([str(first), str(second)], IngestConfig())
    assert [named.name for named, _ in opened] == ["a", "b"]
    with pytest.raises(UserError, match="2 sources are called 'a'"):
        open_sources([str(first), f"a={second}"], IngestConfig())


def test_keywords_are_joined_by_id(tmp_path):
    keywords = write_csv(
        tmp_path / "k.csv",
        [
            {"id": "1001", "keywords": "[{'id': 1, 'name': 'haunted house'}]"},
            {"id": "x", "keywords": "[]"},
            {"id": "1002", "keywords": "[["},
        ],
        ["id", "keywords"],
    )
    found, unreadable = load_keywords(IngestConfig(keywords=str(keywords)))
    assert found == {1001: ("Haunted House",)}
    assert unreadable == 2
    source = open_file(write_csv(tmp_path / "m.csv", [movie(1, "Horror")]), Columns())
    (chunk,) = read_chunks(source, 10, IngestState("m", set(), found))
    assert chunk.movies["keywords"].to_pylist() == [["Haunted House"]]


def test_a_short_row_of_keywords_is_counted():
    columns = {"id": 0, "keywords": 1}
    source = Source("k.csv", ["id", "keywords"], columns, iter([["1"]]))
    assert read_keywords(source) == ({}, 1)


def tally_of(tmp_path: Path, rows: list[dict[str, str]]) -> RowCounts:
    tally = RowCounts()
    tally.add(sort_file(write_csv(tmp_path / "m.csv", rows)))
    return tally


def test_too_much_damage_stops_the_run_and_names_the_reasons(tmp_path):
    bad = [movie(n, "Horror") | {"id": "x"} for n in range(15)]
    tally = tally_of(tmp_path, [*catalogue(35), *bad])
    tally.require_usable("m.csv", 0.3)
    with pytest.raises(UserError) as caught:
        tally.require_usable("m.csv", 0.2)
    assert str(caught.value) == (
        "m.csv: 30% of the rows are damaged, more than --ingest.max_quarantined_share 0.2 allows: "
        "15 bad_id (first: m.csv row 36, column 'id')."
    )


def test_a_share_of_a_few_rows_stops_nothing(tmp_path):
    tally = tally_of(tmp_path, [*catalogue(2), movie(9, "Horror") | {"id": "x"}])
    tally.require_usable("m.csv", 0.2)
    below, at = 49, 50
    for rows, stops in ((below, False), (at, True)):
        bad = [movie(n, "Horror") | {"id": "x"} for n in range(20)]
        tally = tally_of(tmp_path, [*catalogue(rows - 20), *bad])
        with pytest.raises(UserError) if stops else nullcontext():
            tally.require_usable("m.csv", 0.2)


def test_missing_overviews_are_no_damage(tmp_path):
    empty = [movie(100 + n, "Horror") | {"overview": ""} for n in range(20)]
    tally = tally_of(tmp_path, [*catalogue(5), *empty])
    tally.require_usable("m.csv", 0.0)
    assert (tally.rows, tally.kept, tally.reasons["missing_overview"]) == (25, 5, 20)


def test_a_source_without_usable_rows_says_why(tmp_path):
    with pytest.raises(UserError, match=r"m.csv: a header but no rows"):
        RowCounts().require_usable("m.csv", 0.2)
    tally = tally_of(tmp_path, [movie(1, "Horror") | {"overview": ""}])
    with pytest.raises(UserError, match=r"none of its 1 rows can be used: 1 missing_overview"):
        tally.require_usable("m.csv", 0.2)


def test_a_row_that_is_in_neither_place_fails_the_run(tmp_path):
    chunk = sort_file(write_csv(tmp_path / "m.csv", catalogue(3)))
    with pytest.raises(RuntimeError, match="do not add up"):
        RowCounts().add(chunk._replace(rows=4))


def append_to(path: Path) -> None:
    """Append as a program that is still writing does: not through `rename`."""
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines(keepends=True)[-1].replace(b"100", b"999"))


def rewrite(path: Path) -> None:
    """The same bytes again: a reader between may have met half of them."""
    content = path.read_bytes()
    path.write_bytes(b"")
    path.write_bytes(content)


def replace_with_another(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(path.read_bytes().replace(b"Story", b"Tales"))
    new.replace(path)


def ingest_while(change: Callable[[Path], None], changed: Path, config: IngestConfig) -> str:
    """What ingesting says when a file is changed after the first chunk of the first was read."""
    source, rows = changed.parent / "movies.csv", []

    def on_rows(count: int) -> None:
        if not rows:
            change(changed)
        rows.append(count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "progress_bar", lambda _: nullcontext(on_rows))
        patch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
        with pytest.raises(UserError) as caught:
            ingest.fn([str(source)], config)
    return str(caught.value)


@pytest.mark.parametrize("change", [append_to, rewrite, replace_with_another, Path.unlink])
def test_a_source_that_changes_while_it_is_read_is_noticed(change, tmp_path, artifacts):
    path = write_csv(tmp_path / "movies.csv", catalogue(30))
    said = ingest_while(change, path, IngestConfig(chunk_rows=10))
    assert said == "movies.csv changed while it was read: run again when it is complete."
    assert not list((artifacts / "cache" / "ingest").glob("*/ref.json"))


def test_keywords_that_change_while_they_are_read_are_noticed(tmp_path):
    write_csv(tmp_path / "movies.csv", catalogue(30))
    rows = [{"id": "1001", "keywords": "[]"}]
    keywords = write_csv(tmp_path / "keywords.csv", rows, ["id", "keywords"])
    said = ingest_while(append_to, keywords, IngestConfig(keywords=str(keywords)))
    assert said.startswith("keywords.csv changed while it was read")


@pytest.mark.parametrize("name", ["m.csv.gz", "m.parquet", "part-2.csv"])
def test_compressed_files_parquet_and_parts_that_change_are_noticed(name, tmp_path):
    plain = write_csv(tmp_path / "movies.csv", catalogue(30))
    path = tmp_path / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif path.suffix == ".parquet":
        pq.write_table(pa_csv.read_csv(plain), path)
    else:
        write_csv(path, [row | {"id": f"9{row['id']}"} for row in catalogue(30)])

    @read_unchanged(file_states([path]))
    def read() -> None:
        for number, _ in enumerate(open_file(path, Columns()).rows):
            if number == 10:
                append_to(path)

    with pytest.raises(UserError, match=f"{name} changed while it was read"):
        read()


def test_damage_in_a_file_that_did_not_change_is_named_as_it_is(tmp_path):
    path = write_csv(tmp_path / "movies.csv", catalogue(3))
    with pytest.raises(ValueError, match="damage"), read_unchanged(file_states([path])):
        raise ValueError("damage")


def test_quarantine_keeps_json_as_it_was(tmp_path):
    raw = json.dumps([{"id": 18}])
    found = sort_file(write_csv(tmp_path / "m.csv", [movie(1, "Horror") | {"genres": raw}]))
    assert found.quarantine["value"].to_pylist() == [raw]
