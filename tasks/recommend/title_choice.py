"""A title -> the one movie that it names, and a note where other movies could be meant."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.core.contracts import IndexRef, UserError
from tasks.core.text import fold
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.scoring import VOTES_OF_A_HIT
from tasks.recommend.search import (
    TitleMatches,
    Version,
    find_title,
    read_movies,
    title_with_year,
    unknown_title,
)

CLEARLY_BETTER_KNOWN = 10  # ratio of vote counts from which one movie is clearly better known
MAX_SIMILAR = 3  # better known movies with a similar title that a note lists
MAX_MEANINGS = 5  # other movies that a title could mean
ARTICLES = ("the", "a", "an")
Movie = dict[str, Any]


class TitleChoice(NamedTuple):
    """Catalogue row of the movie that a title names; `note` is empty if no other can be meant."""

    row: int
    note: str = ""


def resolve_title(
    version: Version, title: str, year: int | None, movie_id: str | None
) -> TitleChoice:
    """The movie with a title; of several, the one with the id, else the clearly best known.

    Raises:
        UserError: no movie has the title (the message suggests similar ones), or several have it
            and none is clearly the best known (the message lists all of them).
    """
    catalogue, matches = version.catalogue, find_title(version, title, year)
    if not matches.movies:
        raise unknown_title(title, matches.suggestions)
    rows = _rows(catalogue, matches.movies + matches.variants)
    if movie_id is not None:
        return TitleChoice(_row_with_id(catalogue, title, rows, movie_id))
    choice = choose_movie(catalogue, title, matches)
    if choice is None:
        raise ambiguous_title(catalogue, title, rows)
    is_selected = year is not None and len(rows) == 1
    return choice._replace(note="") if is_selected else choice


def choose_movie(catalogue: Catalogue, title: str, matches: TitleMatches) -> TitleChoice | None:
    """The movie that a title alone means: the only or the clearly best known one; else None."""
    rows = _rows(catalogue, matches.movies)
    row = best_known(catalogue, rows) if rows else None
    if row is None:
        return None
    candidates = rows + _rows(catalogue, matches.variants)
    if len(candidates) == 1:
        return TitleChoice(row, _note_of_similar(catalogue, title, row))
    taken, choices = title_with_year(catalogue.movie(row)), _descriptions(catalogue, candidates)
    return TitleChoice(row, f"Movies called '{title}': {choices}. Took {taken}.")


def _rows(catalogue: Catalogue, movies: Sequence[Movie]) -> list[int]:
    return [catalogue.positions[movie["source"], movie["id"]] for movie in movies]


def _row_with_id(catalogue: Catalogue, title: str, rows: Sequence[int], movie_id: str) -> int:
    with_id = [row for row in rows if catalogue.movie(row)["id"] == movie_id]
    if len(with_id) != 1:
        raise ambiguous_title(catalogue, title, rows)
    return with_id[0]


def example_title(index: IndexRef) -> str:
    """The best known movie's title, of those that no other movie has; empty if there is none.

    Titles that are hard to paste into a shell, which start with `-` or have several lines, are left
    out.
    """
    rows = read_movies(index, ["title", "votes"])
    titles: list[str] = rows["title"].to_pylist()
    counts = Counter(map(fold, titles))
    for row in np.argsort(-rows["votes"].to_numpy(), kind="stable"):
        title = titles[int(row)]
        if counts[fold(title)] == 1 and title.isprintable() and not title.startswith("-"):
            return title
    return ""


def best_known(catalogue: Catalogue, rows: Sequence[int]) -> int | None:
    """The row with `CLEARLY_BETTER_KNOWN` times the votes of every other; None if there is none."""
    best = max(rows, key=lambda row: votes_plus_one(catalogue, row))
    others = [row for row in rows if row != best]
    return best if all(is_better_known(catalogue, best, row) for row in others) else None


def is_better_known(catalogue: Catalogue, row: int, other: int) -> bool:
    """Whether the movie in `row` has at least `CLEARLY_BETTER_KNOWN` times the votes of another."""
    return votes_plus_one(catalogue, row) >= CLEARLY_BETTER_KNOWN * votes_plus_one(catalogue, other)


def votes_plus_one(catalogue: Catalogue, row: int) -> float:
    """Vote count of a movie plus 1: the inverse of its popularity prior.

    A movie without a vote count has the mean prior of the catalogue.
    """
    prior = float(catalogue.features.votes[row])
    return float(np.round(np.exp(np.sqrt(prior) * np.log1p(VOTES_OF_A_HIT)), 2))


def ambiguous_title(catalogue: Catalogue, title: str, rows: Sequence[int]) -> UserError:
    """The error of a title that several movies have."""
    choices = _descriptions(catalogue, rows)
    return UserError(f"Movies called '{title}': {choices}. Select one with --year or --id.")


def _note_of_similar(catalogue: Catalogue, title: str, row: int) -> str:
    movie = catalogue.movie(row)
    is_title_alone = fold(title) == fold(movie["title"])  # without a year
    similar = similar_better_known(catalogue, row) if is_title_alone else []
    if not similar:
        return ""
    choices = _descriptions(catalogue, similar)
    return f"Took {title_with_year(movie)}. Better known, with a similar title: {choices}."


def similar_better_known(catalogue: Catalogue, row: int) -> list[int]:
    """Clearly better known movies with a title that only adds or lacks an article or a subtitle.

    As `The Jungle Book` for `Jungle Book`, and `August: Osage County` for `August`.
    """
    key = fold(catalogue.movie(row)["title"])
    keys = _article_variants(key)
    similar = {other for variant in keys for other in catalogue.rows_with_title(variant)}
    longer = catalogue.rows_starting_with(f"{key} ")
    similar.update(other for other in longer if _before_subtitle(catalogue, other) == key)
    better = [other for other in similar if is_better_known(catalogue, other, row)]
    return sorted(better, key=lambda other: (-votes_plus_one(catalogue, other), other))[
        :MAX_SIMILAR
    ]


def other_meanings(catalogue: Catalogue, row: int) -> list[int]:
    """Other movies that the title of a movie could mean, the best known first.

    They have the same title without case, accents and punctuation, or are `similar_better_known`.
    """
    namesakes = catalogue.rows_with_title(fold(catalogue.movie(row)["title"]))
    others = {*namesakes, *similar_better_known(catalogue, row)} - {row}
    return sorted(others, key=lambda other: (-votes_plus_one(catalogue, other), other))[
        :MAX_MEANINGS
    ]


def _article_variants(key: str) -> list[str]:
    first, _, remainder = key.partition(" ")
    if first in ARTICLES and remainder:
        return [remainder]
    return [f"{article} {key}" for article in ARTICLES]


def _before_subtitle(catalogue: Catalogue, row: int) -> str:
    main_title, colon, _ = str(catalogue.movie(row)["title"]).partition(":")
    return fold(main_title) if colon else ""


def _descriptions(catalogue: Catalogue, rows: Sequence[int]) -> str:
    return "; ".join(_description(catalogue.movie(row)) for row in rows)


def _description(movie: Movie) -> str:
    """Title, year, the first of its people (the director, where one is known) and id."""
    first_person = (movie.get("people") or [])[:1]
    return ", ".join([title_with_year(movie), *first_person, f"id {movie['id']}"])
