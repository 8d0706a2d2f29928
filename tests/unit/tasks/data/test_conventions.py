from pathlib import Path

import pytest

from tasks.data.ingest import IngestConfig, merged_names, open_sources, read_chunks, read_files
from tasks.data.sources import open_file
from tasks.data.validation import IngestState
from tests.conftest import catalogue, movie, write_csv
from tests.support.source_files import new_state, validate_file

COLUMNS = ["id", "title", "overview", "genres", "year"]


def film(number: int, **changes: str) -> dict[str, str]:
    cells = {
        "id": str(number),
        "title": f"Film {number}",
        "overview": f"A ghost of town {number}.",
        "genres": "Drama",
        "year": "1999",
    }
    return cells | changes


def movies_of(tmp_path: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> list:
    columns = columns or COLUMNS
    cells = [{name: row[name] for name in columns} for row in rows]
    return validate_file(write_csv(tmp_path / "m.csv", cells, columns)).movies.to_pylist()


@pytest.mark.parametrize("length", [0, 40])
def test_a_text_that_many_titles_have_describes_none_of_them(length, tmp_path):
    text = "Details of this story are kept secret until its premiere" + ", as always" * length
    same = [film(number, overview=f"{text}.") for number in range(1, 6)]
    again = [film(9, title="Film 8"), film(8, overview="A ghost of town 9.")]  # a movie told twice
    chunk = validate_file(write_csv(tmp_path / "m.csv", [*same, film(7), *again], COLUMNS))
    assert chunk.movies["id"].to_pylist() == ["7", "9", "8"]
    assert chunk.quarantine["reason"].to_pylist() == ["repeated_overview"] * 5


def test_the_separator_is_decided_for_the_file(tmp_path):
    rows = [film(1, genres="Comedy, Drama"), film(2, genres="Rock/Pop, War"), film(3)]
    genres = [movie["genres"] for movie in movies_of(tmp_path, rows)]
    assert genres == [["Comedy", "Drama"], ["Rock/Pop", "War"], ["Drama"]]


def test_people_are_separated_as_in_most_rows(tmp_path):
    rows = [film(1) | {"director": "Coen, Joel; Coen, Ethan"}, film(2) | {"director": "A; B"}]
    (first, second) = movies_of(tmp_path, rows, [*COLUMNS, "director"])
    assert (first["people"], second["people"]) == (["Coen, Joel", "Coen, Ethan"], ["A", "B"])


def test_a_file_with_one_row_a_genre_is_folded(tmp_path):
    rows = [film(1, genres="Drama"), film(2, genres="War"), film(1, genres="War"), film(3)]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows, COLUMNS))
    assert chunk.movies["genres"].to_pylist() == [["Drama", "War"], ["War"], ["Drama"]]
    assert chunk.quarantine.select(["row", "reason"]).to_pylist() == [
        {"row": 3, "reason": "folded_row"}
    ]


def test_another_film_under_the_id_of_a_folded_one_is_a_duplicate(tmp_path):
    others = [film(1, title="Other", genres=genre) for genre in ("Horror", "Comedy")]
    rows = [film(1), film(1, genres="War"), *others, film(2)]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows, COLUMNS))
    assert chunk.movies["genres"].to_pylist() == [["Drama", "War"], ["Drama"]]
    assert chunk.quarantine["reason"].to_pylist() == ["folded_row", *["duplicate_id"] * 2]


def test_repeated_ids_of_different_movies_are_duplicates(tmp_path):
    rows = [film(1), film(1, title="Other", genres="War"), film(2)]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows, COLUMNS))
    assert chunk.quarantine["reason"].to_pylist() == ["duplicate_id"]


def test_a_few_ids_of_text_among_numbers_are_damage_but_all_are_ids(tmp_path):
    mixed = [*(film(number) for number in range(1, 5)), film(5, id="1997-08-20")]
    chunk = validate_file(write_csv(tmp_path / "m.csv", mixed, COLUMNS))
    assert chunk.quarantine["reason"].to_pylist() == ["bad_id"]
    movies = movies_of(tmp_path, [film(1, id="tt0000001"), film(2, id="s2"), film(3, id="NA")])
    assert [movie["imdb_id"] for movie in movies] == ["tt0000001", None]
    assert len({movie["id"] for movie in movies}) == 2


def test_without_ids_a_movie_keeps_its_own_whatever_rows_come_before(tmp_path):
    columns = COLUMNS[1:]
    one = movies_of(tmp_path, [film(1), film(2)], columns)
    other = movies_of(tmp_path, [film(2), film(3), film(1)], columns)
    assert [movie["id"] for movie in one] == [other[2]["id"], other[0]["id"]]


def test_dated_titles_give_year_and_article_if_most_have_them(tmp_path):
    columns = COLUMNS[:-1]
    rows = [film(1, title="Matrix, The (1999)"), film(2, title="1917"), film(3, title="It (2017)")]
    movies = movies_of(tmp_path, rows, columns)
    assert [(movie["title"], movie["year"]) for movie in movies] == [
        ("The Matrix", 1999),
        ("1917", None),
        ("It", 2017),
    ]
    (alone, *_) = movies_of(tmp_path, [film(1, title="Blade Runner (2049)"), film(2), film(3)])
    assert (alone["title"], alone["year"]) == ("Blade Runner (2049)", 1999)


def test_titles_may_be_what_elsewhere_is_a_missing_value(tmp_path):
    titles = ["None", "NA", "Null", "300", "nan", "-", "???", "[REC]", "true"]
    movies = movies_of(tmp_path, [film(n, title=title) for n, title in enumerate(titles, 1)])
    assert [movie["title"] for movie in movies] == titles


def test_missing_values_are_no_genre_no_franchise_and_no_language(tmp_path):
    columns = [*COLUMNS, "collection", "language", "keywords", "vote_count", "adult"]
    rows = [film(1) | dict.fromkeys(columns[3:], mark) for mark in ("NA",)]
    (movie,) = movies_of(tmp_path, rows, columns)
    assert (movie["genres"], movie["keywords"]) == ([], [])
    assert [movie[name] for name in ("collection", "language", "vote_count", "year")] == [None] * 4


def test_a_flag_of_any_spelling_decides_nothing(tmp_path):
    flags = ["t", "f", "Yes", "0.0", "", "NA", "no rating"]
    rows = [film(number, adult=flag) for number, flag in enumerate(flags, 1)]
    assert len(movies_of(tmp_path, rows, [*COLUMNS, "adult"])) == len(flags)


def test_spellings_that_were_merged_are_told(tmp_path):
    state = new_state()
    rows = [film(1, genres="Sci-Fi|drama"), film(2, genres="SCIENCE FICTION|Drama"), film(3)]
    path = write_csv(tmp_path / "m.csv", rows, COLUMNS)
    list(read_chunks(open_file(path), 10, state))
    assert merged_names(state.spellings) == {
        "Drama": ["Drama", "drama"],
        "Science Fiction": ["SCIENCE FICTION", "Sci-Fi"],
    }


def test_kaggle_s_rows_are_read_as_before(tmp_path):
    rows = [*catalogue(5), movie(9, "Horror") | {"adult": " - Written by Ørnås", "id": "x"}]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows))
    assert chunk.movies.num_rows == 5
    assert chunk.quarantine["reason"].to_pylist() == ["shifted_row"]


def test_every_file_of_a_source_has_its_own_marks_and_ids(tmp_path):
    write_csv(tmp_path / "a.csv", [film(1, genres="Drama|War"), film(2), film(3)], COLUMNS)
    texts = [film(4, id="s4", genres="Drama, War"), film(5, id="s5")]
    write_csv(tmp_path / "b.csv", texts, COLUMNS)
    write_csv(tmp_path / "c.csv", [film(6, genres="Rock")], COLUMNS)
    (source,) = open_sources([str(tmp_path / "*.csv")], IngestConfig())
    chunks = list(read_files(source, 1000, IngestState("m")))
    movies = [movie for chunk in chunks for movie in chunk.movies.to_pylist()]
    assert [movie["id"] for movie in movies] == ["1", "2", "3", "s4", "s5", "6"]
    assert [movies[n]["genres"] for n in (0, 3)] == [["Drama", "War"]] * 2


def test_short_dates_that_can_only_begin_with_the_year_do_so_in_all_rows(tmp_path):
    dates = ["95/10/30", "04/10/25", "85/01/20 0:00", "1999-01-02"]
    movies = movies_of(tmp_path, [film(n, year=date) for n, date in enumerate(dates)])
    assert [movie["year"] for movie in movies] == [1995, 2004, 1985, 1999]


def test_a_file_with_one_row_a_genre_is_folded_without_ids_and_with_ids_written_in_two_ways(
    tmp_path,
):
    rows = [film(n, genres=genre) for n in (1, 2, 3) for genre in ("Drama", "War")]
    expected = [["Drama", "War"]] * 3
    without_ids = movies_of(tmp_path, rows, COLUMNS[1:])
    assert [movie["genres"] for movie in without_ids] == expected
    rows[1]["id"] = "1.0"
    assert [movie["genres"] for movie in movies_of(tmp_path, rows)] == expected


def test_one_odd_date_does_not_change_the_years_of_the_others(tmp_path):
    dates = ["45/10/30", "30.10.95", "1.2.77", "05.06.07"]
    movies = movies_of(tmp_path, [film(n, year=date) for n, date in enumerate(dates)])
    assert [movie["year"] for movie in movies][1:] == [1995, 1977, 2007]


def test_imdb_ids_among_numbers_are_ids(tmp_path):
    rows = [*(film(n) for n in range(1, 4)), film(4, id="tt0076759"), film(5, id="12-1")]
    chunk = validate_file(write_csv(tmp_path / "m.csv", rows, COLUMNS))
    assert chunk.movies["id"].to_pylist() == ["1", "2", "3", "tt0076759"]
    assert chunk.quarantine["reason"].to_pylist() == ["bad_id"]
