import ast
import csv
import re
from collections import Counter

import pytest

from tasks.data.ingest import read_chunks
from tasks.data.sources import SAMPLE, open_file
from tasks.data.validation import IngestState

COLUMNS = [
    "adult",
    "belongs_to_collection",
    "budget",
    "genres",
    "homepage",
    "id",
    "imdb_id",
    "original_language",
    "original_title",
    "overview",
    "popularity",
    "poster_path",
    "production_companies",
    "production_countries",
    "release_date",
    "revenue",
    "runtime",
    "spoken_languages",
    "status",
    "tagline",
    "title",
    "video",
    "vote_average",
    "vote_count",
]
GENRES = {
    "Action": 28,
    "Adventure": 12,
    "Animation": 16,
    "Comedy": 35,
    "Crime": 80,
    "Documentary": 99,
    "Drama": 18,
    "Family": 10751,
    "Fantasy": 14,
    "History": 36,
    "Horror": 27,
    "Music": 10402,
    "Mystery": 9648,
    "Romance": 10749,
    "Science Fiction": 878,
    "Thriller": 53,
    "War": 10752,
    "Western": 37,
}


@pytest.fixture(scope="module")
def films() -> list[dict[str, str]]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_are_those_of_kaggle_in_their_order():
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == COLUMNS


def test_there_are_about_400_films(films):
    assert 390 <= len(films) <= 430


def test_ids_are_unique_and_positive_and_in_order(films):
    ids = [int(film["id"]) for film in films]
    assert ids == sorted(set(ids))
    assert ids[0] > 0


def test_no_overview_repeats(films):
    texts = Counter(film["overview"].casefold() for film in films)
    assert [text for text, count in texts.items() if count > 1] == []


def test_no_two_overviews_share_a_sentence(films):
    sentences = Counter(
        sentence
        for film in films
        for sentence in {s.strip(".!? ") for s in re.split(r"[.!?] ", film["overview"].casefold())}
    )
    assert [sentence for sentence, count in sentences.items() if count > 1] == []


def test_an_overview_has_40_to_80_words(films):
    counts = {film["title"]: len(film["overview"].split()) for film in films}
    assert {title: count for title, count in counts.items() if not 40 <= count <= 80} == {}


def test_every_genre_is_on_8_films_or_more_with_its_tmdb_id(films):
    counts = Counter(
        (genre["name"], genre["id"]) for film in films for genre in ast.literal_eval(film["genres"])
    )
    assert set(counts) == set(GENRES.items())
    assert min(counts.values()) >= 8


def test_60_films_lie_in_20_collections_of_two_or_more(films):
    cells = (film["belongs_to_collection"] for film in films)
    members = Counter(ast.literal_eval(cell)["name"] for cell in cells if cell)
    sizes = [count for count in members.values() if count > 1]
    assert len(sizes) >= 20
    assert sum(sizes) >= 60


def test_a_title_may_be_shared_by_two_films(films):
    years = {film["release_date"][:4] for film in films if film["title"] == "Cinderella"}
    assert years == {"1950", "2015"}


def test_ingest_keeps_every_row(films):
    chunks = list(read_chunks(open_file(SAMPLE), 1000, IngestState("sample")))
    assert [chunk.quarantine.to_pylist() for chunk in chunks] == [[]]
    assert sum(chunk.movies.num_rows for chunk in chunks) == len(films)
