import json

import pytest

from tasks.data.columns import Columns
from tasks.data.files.detection import TEXT
from tasks.data.sources import Source
from tasks.data.validation import IngestState, RejectedRow, check_row
from tests.conftest import COLUMNS, movie, write_csv
from tests.support.source_files import validate_file

POSITIONS = {name: column for column, name in enumerate(COLUMNS)}
SOURCE = Source("m.csv", COLUMNS, POSITIONS, iter(()), TEXT)


def check_cells(**changes: str) -> dict | RejectedRow:
    """Result for a valid row with some cells changed."""
    cells = movie(1, "Horror") | changes
    return check_row(SOURCE, [cells.get(column, "") for column in COLUMNS], 1, IngestState("m"))


def test_a_valid_row_becomes_a_movie():
    result = check_cells(release_date="1995-10-30", belongs_to_collection="{'name': 'Ghosts'}")
    assert result["title"] == "Horror Story 1"
    assert result["genres"] == ["Horror"]
    assert (result["year"], result["collection"], result["row"]) == (1995, "Ghosts", 1)


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
def test_a_rejected_row_has_column_reason_and_value(changes, column, reason):
    rejected = check_cells(**changes)
    assert isinstance(rejected, RejectedRow)
    assert rejected == (column, reason, changes[column])


def test_a_row_with_too_few_or_too_many_fields_is_shifted():
    short = check_row(SOURCE, ["False", "", "[]"], 1, IngestState("m"))
    long = check_row(SOURCE, ["x"] * (len(COLUMNS) + 1), 1, IngestState("m"))
    assert isinstance(short, RejectedRow)
    assert isinstance(long, RejectedRow)
    assert (short.column, short.reason) == ("id", "shifted_row")
    assert (long.column, long.reason) == ("title", "shifted_row")


def test_the_header_among_the_rows_is_no_movie():
    rejected = check_row(SOURCE, list(COLUMNS), 7, IngestState("m"))
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == "repeated_header"


def test_a_row_with_one_field_more_is_shifted_though_the_last_is_empty():
    """As one with a comma in its title, whose last cell is empty."""
    cells = [movie(1, "Horror").get(column, "") for column in COLUMNS]
    rejected = check_row(SOURCE, [*cells, ""], 1, IngestState("m"))
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == "shifted_row"


@pytest.mark.parametrize("adult", ["True", "false", "0", "1", ""])
def test_every_spelling_of_a_flag_is_valid(adult):
    assert isinstance(check_cells(adult=adult), dict)


def test_the_first_row_with_an_id_is_kept_and_later_ones_are_quarantined(tmp_path):
    rows = [movie(1, "Horror"), movie(1, "Western"), movie(2, "Music")]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows))
    assert chunk.movies["genres"].to_pylist() == [["Horror"], ["Music"]]
    assert chunk.quarantine.select(["row", "column", "reason", "value"]).to_pylist() == [
        {"row": 2, "column": "id", "reason": "duplicate_id", "value": "1001"}
    ]


def test_the_id_of_a_rejected_row_can_be_used_by_a_later_row(tmp_path):
    rows = [movie(1, "Horror") | {"overview": ""}, movie(1, "Horror")]
    assert validate_file(write_csv(tmp_path / "m.csv", rows)).movies.num_rows == 1


def test_the_value_in_quarantine_is_cut_to_200_characters(tmp_path):
    rows = [movie(1, "Horror") | {"genres": "(" * 999}]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows))
    assert len(chunk.quarantine["value"][0].as_py()) == 200


def test_quarantine_has_the_raw_json(tmp_path):
    raw = json.dumps([{"id": 18}])
    chunk = validate_file(write_csv(tmp_path / "m.csv", [movie(1, "Horror") | {"genres": raw}]))
    assert chunk.quarantine["value"].to_pylist() == [raw]


def test_mapped_columns_are_read_and_named_in_quarantine(tmp_path):
    rows = [
        {"tmdb_id": "5", "name": "Alien", "summary": "A ghost ship.", "genre": "Horror|War"},
        {"tmdb_id": "6", "name": "Aliens", "summary": "", "genre": "Horror"},
    ]
    path = write_csv(tmp_path / "m.csv", rows, list(rows[0]))
    chunk = validate_file(path, columns=Columns(overview="summary"))
    assert chunk.movies["genres"].to_pylist() == [["Horror", "War"]]
    assert chunk.quarantine["column"].to_pylist() == ["summary"]


def test_people_and_imdb_id_are_read_from_their_usual_or_mapped_columns(tmp_path):
    people = {"directed_by": "Ridley Scott", "stars": "Sigourney Weaver, Tom Skerritt"}
    row = movie(1, "Horror") | people | {"imdb_id": "tt0078748"}
    path = write_csv(tmp_path / "m.csv", [row], [*COLUMNS, *people, "imdb_id"])
    chunk = validate_file(path, columns=Columns(director="directed_by"))
    (alien,) = chunk.movies.to_pylist()
    assert alien["people"] == ["Ridley Scott", "Sigourney Weaver", "Tom Skerritt"]
    assert alien["imdb_id"] == "tt0078748"


def test_an_unreadable_cell_of_people_does_not_reject_its_row(tmp_path):
    row = movie(1, "Horror") | {"director": "[{'name': ", "cast": "Sigourney Weaver"}
    path = write_csv(tmp_path / "m.csv", [row], [*COLUMNS, "director", "cast"])
    assert validate_file(path).movies["people"].to_pylist() == [["Sigourney Weaver"]]
