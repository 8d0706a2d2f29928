"""Files in the forms that people really have: the sample in each is read as the sample is."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tasks.core.contracts import UserError
from tasks.data.ingest import IngestConfig, open_sources, read_files
from tasks.data.sources import SAMPLE
from tasks.data.validation import IngestState
from tests.conftest import ROOT

FILES = ROOT.parent / "shared" / "data" / "real_files"
pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="the files of strangers are not here")
COMPARED = ("title", "overview", "genres", "year")


class Contents(NamedTuple):
    """Movies of a source, its rows, and the reasons of its quarantine."""

    movies: list[dict[str, Any]]
    rows: int
    reasons: dict[str, int]

    def column(self, name: str) -> list[Any]:
        return [movie[name] for movie in self.movies]

    @property
    def genres(self) -> Counter[str]:
        return Counter(name for names in self.column("genres") for name in names)


def contents(source: Path) -> Contents:
    movies, rows, reasons = list[dict[str, Any]](), 0, Counter[str]()
    for opened in open_sources([str(source)], IngestConfig()):
        for chunk in read_files(opened, 1000, IngestState(opened.source.name)):
            movies += chunk.movies.to_pylist()
            rows += chunk.rows
            reasons.update(chunk.quarantine["reason"].to_pylist())
    return Contents(movies, rows, dict(reasons))


@pytest.fixture(scope="module")
def sample() -> dict[int, dict[str, Any]]:
    return {movie["id"]: movie for movie in contents(SAMPLE).movies}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("adult_t_f.csv", COMPARED),
        ("excel_semicolon_bom.csv", COMPARED),
        ("genres_comma.csv", COMPARED),
        ("genres_numpy_repr.csv", COMPARED),
        ("us_dates.csv", COMPARED),
        ("monthly/*.csv", COMPARED),
        ("backslash_escapes.csv", ("title", "genres", "year")),
        ("html_in_text.csv", ("title", "genres", "year")),
        ("genre_case.csv", ("title", "overview", "year")),
    ],
)
def test_the_sample_in_another_form_is_the_sample(name, fields, sample):
    catalogue = contents(FILES / name)
    assert (catalogue.rows, len(catalogue.movies), catalogue.reasons) == (414, 414, {})
    for movie in catalogue.movies:
        assert {field: movie[field] for field in fields} == {
            field: sample[movie["id"]][field] for field in fields
        }


@pytest.mark.parametrize(
    "name",
    ["movies.json", "movies.jsonl", "films.pq", "binary_title.parquet", "map_genres.parquet"],
)
def test_its_first_rows_in_another_format_are_the_same(name, sample):
    catalogue = contents(FILES / name)
    assert (catalogue.rows, len(catalogue.movies), catalogue.reasons) == (60, 60, {})
    for movie in catalogue.movies:
        for field in ("title", "overview", "genres"):
            assert movie[field] == sample[movie["id"]][field]


def test_a_stray_quote_costs_at_most_its_row(sample):
    catalogue = contents(FILES / "stray_quote.csv")
    assert (catalogue.rows, len(catalogue.movies)) == (414, 414)
    others = [movie for movie in catalogue.movies if movie["row"] != 201]
    for movie in others:
        assert movie["title"] == sample[movie["id"]]["title"].replace(",", "")
        assert movie["genres"] == sample[movie["id"]]["genres"]


def test_a_sentence_with_escaped_quotes_is_read_in_every_eighth_row():
    overviews = contents(FILES / "backslash_escapes.csv").column("overview")
    quoted = [overview for overview in overviews if '"' in overview.split(".")[0]]
    assert len(quoted) >= 52
    assert not [overview for overview in overviews if '\\"' in overview]


def test_html_leaves_no_trace():
    text = " ".join(contents(FILES / "html_in_text.csv").column("overview"))
    for trace in ("<", "&amp", "&quot", "nbsp", "&lsquo", "&#"):
        assert trace not in text


def test_spellings_of_genres_are_merged(sample):
    genres = contents(FILES / "genre_case.csv").genres
    assert len(genres) == 18
    family = sum("Family" in movie["genres"] for movie in sample.values())
    assert genres["Children's"] == family


def test_na_is_no_value(sample):
    catalogue = contents(FILES / "missing_as_NA.csv")
    assert (catalogue.rows, catalogue.reasons) == (414, {"missing_overview": 42})
    assert "Na" not in catalogue.genres
    assert "NA" not in catalogue.genres
    assert set(catalogue.column("collection")) <= {movie["collection"] for movie in sample.values()}


def test_movielens_titles_and_sentinel(sample):
    catalogue = contents(FILES / "movielens_titles.csv")
    assert (catalogue.rows, len(catalogue.movies), catalogue.reasons) == (414, 414, {})
    assert sorted(catalogue.column("title")) == sorted(movie["title"] for movie in sample.values())
    assert sorted(catalogue.column("year")) == sorted(movie["year"] for movie in sample.values())
    assert sum(not names for names in catalogue.column("genres")) == 35
    assert not [name for name in catalogue.genres if "(" in name]


def test_imdb_ids_are_ids():
    catalogue = contents(FILES / "imdb_ids.csv")
    assert (catalogue.rows, len(catalogue.movies)) == (414, 414)
    assert catalogue.movies[0]["imdb_id"] == "tt0076759"
    assert len(set(catalogue.column("id"))) == 414


def test_one_row_a_genre_is_folded(sample):
    catalogue = contents(FILES / "one_row_a_genre.csv")
    assert (catalogue.rows, len(catalogue.movies), catalogue.reasons) == (
        1184,
        414,
        {"folded_row": 770},
    )
    assert catalogue.column("genres") == [
        sample[movie["id"]]["genres"] for movie in catalogue.movies
    ]


def test_odd_titles_are_titles():
    catalogue = contents(FILES / "odd_titles.csv")
    assert (catalogue.rows, len(catalogue.movies)) == (446, 446)
    assert {'"Crocodile" Dundee', "NA", "None", "null", "300", "[REC]", "=1+1", "???"} <= set(
        catalogue.column("title")
    )


@pytest.mark.parametrize(("name", "rows"), [("chinese.csv", 360), ("hindi.csv", 300)])
def test_other_scripts_are_read_whole(name, rows):
    catalogue = contents(FILES / name)
    assert (catalogue.rows, len(catalogue.movies), catalogue.reasons) == (rows, rows, {})


def test_a_damaged_spreadsheet_is_refused():
    with pytest.raises(UserError, match="the spreadsheet cannot be read"):
        contents(FILES / "excel.xlsx")
