"""A catalogue with all columns, and changes of the movies of one split."""

import json
from collections.abc import Callable
from itertools import count

from tasks.data.preprocess import TextConfig
from tasks.data.splits import Split, split_of_overview
from tests.conftest import COLUMNS, THEMES, catalogue

Movie = dict[str, str]
PROTOCOL_COLUMNS = [*COLUMNS, "keywords", "director", "cast", "vote_count", "original_language"]
#: Large enough shares for calibration, which needs 50 labels of validation movies.
SHARES = {"validation_share": 0.2, "gate_share": 0.15, "test_share": 0.2}
GENRES = list(THEMES)
CLASHING = (GENRES[0], GENRES[2])
#: Part of every word, name and genre of a replaced movie, and of no other movie.
SENTINEL = "zyx"


def genre_list(*names: str) -> str:
    return str([{"id": 1, "name": name} for name in names])


def protocol_movies(number_of_movies: int = 300) -> list[Movie]:
    """Movies with people, keywords, votes and collections, some of two genres.

    No movie has both genres of `CLASHING`.
    """
    return [_with_all_columns(*pair) for pair in enumerate(catalogue(number_of_movies))]


def _with_all_columns(number: int, movie: Movie) -> Movie:
    place = number % 3
    genres = GENRES[place : place + 2] if number % 4 == 0 else [GENRES[place]]
    genre = genres[0]
    series = f"{genre}{'abcdefghijklmnopqrstuvwxyz'[number // 12]}"
    words = [word for place, word in enumerate(THEMES[genre]) if place != number % 8]
    return movie | {
        "title": f"{series} {number}",
        "genres": genre_list(*genres),
        "belongs_to_collection": f"{{'id': 1, 'name': '{series}'}}",
        "keywords": json.dumps(words),
        "director": f"Director of {series}",
        "cast": json.dumps([f"Star of {genre}", f"Actor {number % 40}"]),
        "vote_count": str((number * 37 % 300) ** 2),
        "original_language": "en" if number % 5 else "fr",
    }


def split_of(overview: str) -> Split:
    return split_of_overview(overview, TextConfig.model_validate(SHARES))


def sentinel_overview(split: Split) -> Callable[[int], str]:
    """Overviews of new words that are all in one split, by a number."""
    overviews = (f"{SENTINEL}ghost and {SENTINEL}piano {SENTINEL}{number}." for number in count())
    of_split = (overview for overview in overviews if split_of(overview) == split)
    return lambda _: next(of_split)


def with_everything_changed(movies: list[Movie], split: Split) -> list[Movie]:
    """The movies of one split are replaced by movies that share nothing with any other."""
    overview = sentinel_overview(split)
    return [
        _sentinel_movie(row, movie, overview(row))
        if split_of(movie["overview"]) == split
        else movie
        for row, movie in enumerate(movies)
    ]


def _sentinel_movie(number: int, movie: Movie, overview: str) -> Movie:
    return movie | {
        "title": f"{SENTINEL.title()} Title {number}",
        "overview": overview,
        "genres": genre_list(f"{SENTINEL.title()} Genre", *CLASHING),
        "belongs_to_collection": f"{{'id': 9, 'name': '{SENTINEL.title()} Saga'}}",
        "keywords": json.dumps([f"{SENTINEL}keyword{number}" for number in range(6)]),
        "director": f"{SENTINEL.title()} Director",
        "cast": json.dumps([f"{SENTINEL.title()} Actor"]),
        "vote_count": "123456",
        "original_language": "ja",
        "release_date": "1901-01-01",
    }


def with_other_genres(movies: list[Movie], split: Split) -> list[Movie]:
    """Every movie of one split gets the two genres that no movie has."""
    return [
        movie | {"genres": genre_list(*CLASHING)} if split_of(movie["overview"]) == split else movie
        for movie in movies
    ]
