from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import UserError
from tasks.data.companions.reference_files import (
    KnownItem,
    find_known_items,
    find_ratings,
    read_known_items,
    require_same_file,
    require_same_ratings,
)
from tests.conftest import movie, write_csv

ITEM_COLUMNS = ["id", "title", "year", "query"]
TWISTER = {"id": "664", "title": "Twister", "year": "1996", "query": "storm chasers"}


@pytest.fixture
def movies(tmp_path) -> Path:
    return write_csv(tmp_path / "movies.csv", [movie(1, "Horror"), movie(2, "Music")])


def write_items(folder: Path, *rows: dict[str, str]) -> Path:
    return write_csv(folder / "known_items.csv", list(rows), ITEM_COLUMNS)


def test_ratings_and_known_items_are_found_beside_a_source(movies):
    assert find_ratings([str(movies)]) is None
    assert find_known_items([str(movies)]) is None
    for name in ("ratings_small.csv", "links_small.csv"):
        movies.with_name(name).write_text("userId\n1\n")
    file = write_items(movies.parent, TWISTER)
    ratings, known_items = find_ratings([str(movies)]), find_known_items([f"films={movies}"])
    assert ratings is not None
    assert known_items is not None
    assert (ratings.source, known_items.source) == ("movies", "films")
    assert known_items.file == file


def test_known_items_of_the_first_source_with_a_file_are_used(movies, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    other = write_csv(folder / "other.csv", [movie(3, "Music")])
    file = write_items(folder, TWISTER)
    known_items = find_known_items([str(movies), str(other)])
    assert known_items is not None
    assert (known_items.source, known_items.file) == ("other", file)


def test_ratings_that_changed_since_their_digest_are_rejected(movies):
    for name in ("ratings_small.csv", "links_small.csv"):
        movies.with_name(name).write_text("userId\n1\n")
    ratings = find_ratings([str(movies)])
    assert ratings is not None
    require_same_ratings(ratings)
    ratings.files[0].write_text("userId\n2\n")
    with pytest.raises(UserError, match=r"ratings_small.csv or links_small.csv changed while"):
        require_same_ratings(ratings)


def test_known_items_that_changed_since_their_digest_are_rejected(movies):
    write_items(movies.parent, TWISTER)
    known_items = find_known_items([str(movies)])
    assert known_items is not None
    require_same_file(known_items)
    write_items(movies.parent, TWISTER, TWISTER)
    with pytest.raises(UserError, match=r"known_items.csv changed while it was read"):
        require_same_file(known_items)


def test_known_items_are_read_in_the_order_of_the_file(tmp_path):
    outbreak = TWISTER | {"id": "6950.0", "query": " a deadly  virus, carried by a monkey "}
    file = write_items(tmp_path, TWISTER, outbreak)
    assert read_known_items(file) == [
        KnownItem("664", "storm chasers"),
        KnownItem("6950", "a deadly virus, carried by a monkey"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "N/A"}, "row 2, column 'id': 'N/A' is no id."),
        ({"id": ""}, "row 2, column 'id': '' is no id."),
        ({"query": " "}, "row 2, column 'query': the question is empty."),
    ],
)
def test_the_error_for_an_invalid_question_has_file_row_and_column(changes, message, tmp_path):
    file = write_items(tmp_path, TWISTER, TWISTER | changes)
    with pytest.raises(UserError) as error:
        read_known_items(file)
    assert str(error.value) == f"{file}: {message}"


def test_a_query_with_an_unquoted_comma_is_rejected(tmp_path):
    file = tmp_path / "known_items.csv"
    file.write_text("id,title,year,query\n664,Twister,1996,storms, in Oklahoma\n")
    with pytest.raises(UserError, match="row 1 has 5 fields, the header has 4"):
        read_known_items(file)


@pytest.mark.parametrize("missing", ["id", "query"])
def test_the_error_for_a_missing_column_lists_the_columns_of_the_file(missing, tmp_path):
    columns = [column for column in ITEM_COLUMNS if column != missing]
    file = write_csv(tmp_path / "known_items.csv", [], columns)
    with pytest.raises(UserError, match=rf"no column '{missing}' \(has: {', '.join(columns)}\)"):
        read_known_items(file)


def test_an_empty_file_is_rejected(tmp_path):
    (tmp_path / "known_items.csv").touch()
    with pytest.raises(UserError, match="the file is empty"):
        read_known_items(tmp_path / "known_items.csv")


@given(text=st.text())
def test_any_text_is_read_or_rejected(text, tmp_path_factory):
    file = tmp_path_factory.mktemp("items") / "known_items.csv"
    file.write_text(f"id,query\n{text}", encoding="utf-8", errors="replace")
    try:
        items = read_known_items(file)
    except UserError:
        return
    assert all(item.id and item.query for item in items)
