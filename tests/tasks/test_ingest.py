import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import UserError
from tasks.ingest import (
    Rejected,
    Source,
    check_row,
    chunked,
    clean,
    literal,
    open_source,
    parse_collection,
    parse_count,
    parse_id,
    parse_names,
    parse_year,
    require_movies,
    resolve_source,
)
from tests.conftest import COLUMNS, catalogue, movie, write_csv

KAGGLE = "[{'id': 18, 'name': 'Drama'}, {'id': 35, 'name': 'Comedy'}]"


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (KAGGLE, ("Drama", "Comedy")),
        ('[{"id": 18, "name": "Drama"}]', ("Drama",)),
        ("{'id': 18, 'name': 'Drama'}", ("Drama",)),
        ("['Drama', 'War']", ("Drama", "War")),
        ("Drama|Comedy", ("Drama", "Comedy")),
        ("[{'name': 'Sci-Fi & Fantasy'}]", ("Sci-Fi & Fantasy",)),
        ("[{'name': 'Drama'}, {'name': 'Drama'}]", ("Drama",)),
        ("[{'name': ' drama '}]", ("Drama",)),
        ("[]", ()),
        ("", ()),
        ("nan", ()),
    ],
)
def test_names_are_read_from_every_shape_of_list(cell, names):
    assert parse_names(cell) == names


@pytest.mark.parametrize(
    "cell",
    [
        "[{'id': 18, 'name': 'Drama'}",
        "[{'id': 18}]",
        "[{'name': ''}]",
        "[{'name': None}]",
        "[18, 35]",
        "[" * 5000,
        "[" * 50_000,
        "(1, 2)",
    ],
)
def test_a_cell_without_readable_names_is_refused(cell):
    with pytest.raises(ValueError):
        parse_names(cell)


def test_code_in_a_cell_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for cell in (
        "__import__('os').system('touch eval_was_here')",
        "[{'name': __import__('os').system('touch eval_was_here')}]",
    ):
        with pytest.raises(ValueError):
            parse_names(cell)
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_any_text_is_a_literal_or_a_value_error(text):
    try:
        literal(text)
    except ValueError:
        return


@given(st.lists(st.text(alphabet="abcdefgh -&", min_size=1).filter(lambda name: name.strip())))
def test_json_and_python_lists_give_the_same_names(names):
    items = [{"id": 1, "name": name} for name in names]
    assert parse_names(json.dumps(items)) == parse_names(repr(items))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("862", 862), ("862.0", 862), (" 862 ", 862), ("1997-08-20", None), ("0", None), ("", None)],
)
def test_an_id_is_a_positive_whole_number(text, expected):
    assert parse_id(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1995-10-30", 1995), ("1995", 1995), ("", None), ("0000-01-01", None), ("19951030", None)],
)
def test_the_year_is_what_a_date_starts_with(text, expected):
    assert parse_year(text) == expected


def test_counts_may_be_floats_or_missing():
    assert [parse_count(text) for text in ("5415.0", "7", "", "many")] == [5415, 7, None, None]


def test_a_collection_is_a_name_or_nothing():
    assert parse_collection("{'id': 10194, 'name': 'Toy Story Collection'}") == (
        "Toy Story Collection"
    )
    assert parse_collection("") is None
    assert parse_collection("{'id': ") is None


def test_control_characters_and_line_breaks_leave_a_text():
    assert clean("\x00null\nbyte  ") == "null byte"


def check(**changes: str) -> dict | Rejected:
    cells = movie(1, "Horror") | changes
    return check_row(COLUMNS, [cells.get(column, "") for column in COLUMNS], 1)


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
        ({"overview": "No Overview"}, "overview", "placeholder_overview"),
        ({"overview": "..."}, "overview", "placeholder_overview"),
        ({"overview": "x"}, "overview", "placeholder_overview"),
        ({"overview": "！！！"}, "overview", "placeholder_overview"),
        ({"overview": "a b c d e f"}, "overview", "placeholder_overview"),
        ({"genres": "[18]"}, "genres", "unreadable_genres"),
        ({"adult": " - Written by Ørnås"}, "adult", "shifted_row"),
    ],
)
def test_a_bad_cell_is_named_with_its_reason(changes, column, reason):
    found = check(**changes)
    assert isinstance(found, Rejected)
    assert (found.column, found.reason, found.value) == (column, reason, changes[column])


def test_a_row_with_too_few_or_too_many_fields_is_shifted():
    short = check_row(COLUMNS, ["False", "", "[]"], 1)
    long = check_row(COLUMNS, ["x"] * (len(COLUMNS) + 1), 1)
    assert isinstance(short, Rejected)
    assert isinstance(long, Rejected)
    assert (short.column, short.reason) == ("id", "shifted_row")
    assert (long.column, long.reason) == ("title", "shifted_row")


def test_the_first_row_of_an_id_is_kept_and_later_ones_quarantined(tmp_path):
    rows = [movie(1, "Horror"), movie(1, "Western"), movie(2, "Music")]
    source = open_source(write_csv(tmp_path / "m.csv", rows))
    (found,) = chunked(source, 10)
    assert found.movies["genres"].to_pylist() == [["Horror"], ["Music"]]
    assert found.quarantine.select(["row", "column", "reason", "value"]).to_pylist() == [
        {"row": 2, "column": "id", "reason": "duplicate_id", "value": "1001"}
    ]


cells = st.text(max_size=20) | st.sampled_from(["1", "2", KAGGLE, "A town of ghosts", "False"])


@given(st.lists(st.lists(cells, min_size=5, max_size=8), max_size=12), st.integers(1, 5))
def test_every_row_is_kept_or_quarantined_wherever_chunks_end(rows, chunk_rows):
    def run(size: int) -> tuple[list, list]:
        parts = list(chunked(Source("m.csv", COLUMNS, iter(rows)), size))
        kept = [row for part in parts for row in part.movies.to_pylist()]
        return kept, [row for part in parts for row in part.quarantine.to_pylist()]

    kept, rejected = run(chunk_rows)
    assert (kept, rejected) == run(100)
    assert sorted(row["row"] for row in kept + rejected) == list(range(1, len(rows) + 1))


def test_the_raw_value_in_quarantine_is_cut(tmp_path):
    rows = [movie(1, "Horror") | {"genres": "(" * 999}]
    (found,) = chunked(open_source(write_csv(tmp_path / "m.csv", rows)), 10)
    assert len(found.quarantine["value"][0].as_py()) == 200


def test_byte_order_mark_and_quoted_newlines_are_read(tmp_path):
    path = write_csv(
        tmp_path / "m.csv", [movie(1, "Horror") | {"overview": "One ghost\ntwo ghosts"}]
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    (found,) = chunked(open_source(path), 10)
    assert found.movies["overview"].to_pylist() == ["One ghost two ghosts"]


def test_an_overview_of_a_megabyte_costs_no_row(tmp_path):
    rows = [movie(1, "Horror") | {"overview": "ghost " * 200_000}, movie(2, "Music")]
    (found,) = chunked(open_source(write_csv(tmp_path / "m.csv", rows)), 10)
    assert found.movies.num_rows == 2


def test_parquet_with_nested_genres_reads_like_csv(tmp_path):
    rows = [{**movie(1, "Horror"), "id": 1001, "genres": [{"id": 27, "name": "Horror"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    (found,) = chunked(open_source(tmp_path / "m.parquet"), 10)
    assert found.movies.select(["id", "genres"]).to_pylist() == [{"id": 1001, "genres": ["Horror"]}]


def message_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(chunked(open_source(path), 1000))
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    assert message_of(tmp_path / "nope.csv").startswith(f"No such file: {tmp_path / 'nope.csv'}")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "m.csv").touch()
    assert "the file is empty" in message_of(tmp_path / "m.csv")


def test_a_missing_column_is_named_beside_those_there_are(tmp_path):
    path = write_csv(tmp_path / "m.csv", [], ["id", "title", "genres"])
    assert message_of(path) == "m.csv: no column 'overview' (has: id, title, genres)."


def test_text_in_another_encoding_is_located(tmp_path):
    path = write_csv(
        tmp_path / "m.csv", [movie(1, "Horror"), movie(2, "Music") | {"title": "Amélie"}]
    )
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert "row 2, column 'title' is not UTF-8" in message_of(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(bytes(range(128, 256)) * 8)
    assert "not a text file in UTF-8" in message_of(tmp_path / "m.csv")


def test_a_parquet_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "m.parquet").write_text("no")
    assert "not a readable parquet file" in message_of(tmp_path / "m.parquet")


def test_a_source_without_usable_rows_says_why():
    require_movies("m.csv", 1, {})
    with pytest.raises(UserError, match=r"none of its 3 rows can be used \(3 missing_overview\)"):
        require_movies("m.csv", 0, {"missing_overview": 3})
    with pytest.raises(UserError, match="a header but no rows"):
        require_movies("m.csv", 0, {})


def test_kaggle_is_downloaded_with_kagglehub(monkeypatch, tmp_path):
    kagglehub = pytest.importorskip("kagglehub", reason="the kaggle extra is not installed")
    asked = []
    monkeypatch.setattr(
        kagglehub, "dataset_download", lambda *a, **k: asked.append((a, k)) or str(tmp_path / "f")
    )
    assert resolve_source("kaggle") == tmp_path / "f"
    assert asked == [(("rounakbanik/the-movies-dataset",), {"path": "movies_metadata.csv"})]


def test_chunks_hold_the_asked_number_of_source_rows(tmp_path):
    source = open_source(write_csv(tmp_path / "m.csv", catalogue(25)))
    assert [part.movies.num_rows for part in chunked(source, 10)] == [10, 10, 5]
