import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import UserError
from tasks.ingest import (
    Catalogue,
    IngestConfig,
    Rejected,
    Sorted,
    Tally,
    check_row,
    chunked,
    keywords_of,
    open_all,
    read_keywords,
)
from tasks.source import Columns, Source, open_file
from tests.conftest import COLUMNS, catalogue, movie, write_csv

POSITIONS = {name: at for at, name in enumerate(COLUMNS)}
SOURCE = Source("m.csv", COLUMNS, POSITIONS, iter(()))
KAGGLE = "[{'id': 18, 'name': 'Drama'}, {'id': 35, 'name': 'Comedy'}]"


def new_catalogue(**keywords: tuple[str, ...]) -> Catalogue:
    return Catalogue("m", set(), {int(key[1:]): value for key, value in keywords.items()})


def sort_file(path: Path, chunk_rows: int = 1000, columns: Columns | None = None) -> Sorted:
    """The one chunk of a small file."""
    (found,) = chunked(open_file(path, columns or Columns()), chunk_rows, new_catalogue())
    return found


def check(**changes: str) -> dict | Rejected:
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
    assert isinstance(found, Rejected)
    assert (found.column, found.reason, found.value) == (column, reason, changes[column])


def test_a_row_with_too_few_or_too_many_fields_is_shifted():
    short = check_row(SOURCE, ["False", "", "[]"], 1)
    long = check_row(SOURCE, ["x"] * (len(COLUMNS) + 1), 1)
    assert isinstance(short, Rejected)
    assert isinstance(long, Rejected)
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
        parts = list(chunked(source, size, new_catalogue()))
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
    parts = chunked(source, 10, new_catalogue())
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
    opened = open_all([str(first), str(second)], IngestConfig())
    assert [named.name for named, _ in opened] == ["a", "b"]
    with pytest.raises(UserError, match="2 sources are called 'a'"):
        open_all([str(first), f"a={second}"], IngestConfig())


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
    found, unreadable = keywords_of(IngestConfig(keywords=str(keywords)))
    assert found == {1001: ("Haunted House",)}
    assert unreadable == 2
    source = open_file(write_csv(tmp_path / "m.csv", [movie(1, "Horror")]), Columns())
    (chunk,) = chunked(source, 10, Catalogue("m", set(), found))
    assert chunk.movies["keywords"].to_pylist() == [["Haunted House"]]


def test_a_short_row_of_keywords_is_counted():
    columns = {"id": 0, "keywords": 1}
    source = Source("k.csv", ["id", "keywords"], columns, iter([["1"]]))
    assert read_keywords(source) == ({}, 1)


def tally_of(tmp_path: Path, rows: list[dict[str, str]]) -> Tally:
    tally = Tally()
    tally.add(sort_file(write_csv(tmp_path / "m.csv", rows)))
    return tally


def test_too_much_damage_stops_the_run_and_names_the_reasons(tmp_path):
    bad = [movie(n, "Horror") | {"id": "x"} for n in range(3)]
    tally = tally_of(tmp_path, [*catalogue(7), *bad])
    tally.require_usable("m.csv", 0.3)
    with pytest.raises(UserError) as caught:
        tally.require_usable("m.csv", 0.2)
    assert str(caught.value) == (
        "m.csv: 30% of the rows are damaged, more than --ingest.max_quarantined_share 0.2 allows: "
        "3 bad_id (first: m.csv row 8, column 'id')."
    )


def test_missing_overviews_are_no_damage(tmp_path):
    empty = [movie(100 + n, "Horror") | {"overview": ""} for n in range(20)]
    tally = tally_of(tmp_path, [*catalogue(5), *empty])
    tally.require_usable("m.csv", 0.0)
    assert (tally.rows, tally.kept, tally.reasons["missing_overview"]) == (25, 5, 20)


def test_a_source_without_usable_rows_says_why(tmp_path):
    with pytest.raises(UserError, match=r"m.csv: a header but no rows"):
        Tally().require_usable("m.csv", 0.2)
    tally = tally_of(tmp_path, [movie(1, "Horror") | {"overview": ""}])
    with pytest.raises(UserError, match=r"none of its 1 rows can be used: 1 missing_overview"):
        tally.require_usable("m.csv", 0.2)


def test_a_row_that_is_in_neither_place_fails_the_run(tmp_path):
    chunk = sort_file(write_csv(tmp_path / "m.csv", catalogue(3)))
    with pytest.raises(RuntimeError, match="do not add up"):
        Tally().add(chunk._replace(rows=4))


def test_quarantine_keeps_json_as_it_was(tmp_path):
    raw = json.dumps([{"id": 18}])
    found = sort_file(write_csv(tmp_path / "m.csv", [movie(1, "Horror") | {"genres": raw}]))
    assert found.quarantine["value"].to_pylist() == [raw]
