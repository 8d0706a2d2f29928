"""Typed text -> titles that complete it, and the movie that it means."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query

from app.loader import CurrentChampion
from tasks.core.text import fold
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.search import (
    TITLE_COLUMNS,
    TitleMatches,
    Version,
    find_title,
    similar_titles,
)
from tasks.recommend.title_choice import choose_movie

COMPLETIONS = 8
CANDIDATES = 100  # similar titles that are searched for completions
SHORTEST_SIMILAR = 3  # letters that the search for similar titles compares
Movie = dict[str, Any]


def completions(version: Version, typed: str, matches: TitleMatches) -> list[Movie]:
    """Movies of that title, then titles that contain the typed text; else similar titles.

    The best known come first, but titles that start with the typed text before others.
    """
    catalogue = version.catalogue
    exact = sorted(matches.movies, key=lambda movie: _prominence(movie, "", catalogue))
    similar = [movie for movie in near_titles(version, typed) if movie not in exact]
    containing = [movie for movie in similar if fold(typed) in fold(movie["title"])]
    containing.sort(key=lambda movie: _prominence(movie, fold(typed), catalogue))
    movies = [movie | {"exact": True} for movie in exact]
    movies += [movie | {"exact": False} for movie in containing]
    return movies[:COMPLETIONS] or [movie | {"exact": False} for movie in matches.suggestions]


def near_titles(version: Version, typed: str) -> list[Movie]:
    """Movies with similar titles; of a text that is too short to be similar, that start with it."""
    key = fold(typed)
    if len(key) >= SHORTEST_SIMILAR:
        return similar_titles(version, typed, CANDIDATES)
    rows = version.catalogue.rows_starting_with(key) if key else []
    movies = map(version.catalogue.movie, best_known_first(version.catalogue, rows)[:CANDIDATES])
    return [{name: movie[name] for name in TITLE_COLUMNS} for movie in movies]


def best_known_first(catalogue: Catalogue, rows: Sequence[int]) -> list[int]:
    """The same rows, those with most votes first."""
    return sorted(rows, key=lambda row: -float(catalogue.features.votes[row]))


def best_known(catalogue: Catalogue) -> list[Movie]:
    """The best known movies of the catalogue, as completions."""
    movies = map(catalogue.movie, best_known_first(catalogue, range(len(catalogue)))[:COMPLETIONS])
    return [{name: movie[name] for name in TITLE_COLUMNS} | {"exact": False} for movie in movies]


def meant_movie(version: Version, typed: str, matches: TitleMatches) -> Movie | None:
    """The movie that the typed title alone means, with a `note` where others could be meant."""
    choice = choose_movie(version.catalogue, typed, matches)
    if choice is None:
        return None
    movie = version.catalogue.movie(choice.row)
    return {name: movie[name] for name in TITLE_COLUMNS} | {"note": choice.note}


def _prominence(movie: Movie, typed: str, catalogue: Catalogue) -> tuple[bool, float]:
    votes = catalogue.features.votes[catalogue.positions[movie["source"], movie["id"]]]
    return not fold(movie["title"]).startswith(typed), -float(votes)


def titles(
    loaded: CurrentChampion,
    q: Annotated[str, Query(max_length=300, description="Typed text")] = "",
) -> dict[str, Any]:
    """At most eight completions of the typed text `q`, and the movie that it `meant`, or null.

    Without a text, these are the best known movies. `exact`: the title is equal to the text.
    """
    if not q:
        return {"titles": best_known(loaded.version.catalogue), "meant": None}
    matches = find_title(loaded.version, q)
    return {
        "titles": completions(loaded.version, q, matches),
        "meant": meant_movie(loaded.version, q, matches),
    }
