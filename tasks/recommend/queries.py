"""Title, year and id -> row of the movie in a published version."""

from collections.abc import Sequence
from typing import Any

from tasks.core.contracts import UserError
from tasks.recommend.search import Version, find_title, title_with_year, unknown_title


def select_movie(
    title: str, candidates: Sequence[dict[str, Any]], movie_id: int | None
) -> dict[str, Any]:
    """The one movie with a title, or the one of them with that id.

    Raises:
        UserError: several movies are left, or none has the id; the message lists the candidates.
    """
    matches = [movie for movie in candidates if movie_id in (None, movie["id"])]
    if len(matches) == 1:
        return matches[0]
    choices = "; ".join(f"{title_with_year(movie)}, id {movie['id']}" for movie in candidates)
    raise UserError(f"Movies called '{title}': {choices}. Choose with --year or --id.")


def row_by_title(version: Version, title: str, year: int | None, movie_id: int | None) -> int:
    """Row of the movie called `title`.

    Raises:
        UserError: no movie has the title (the message suggests similar ones), or several have it.
    """
    candidates, suggestions = find_title(version, title, year)
    if not candidates:
        raise unknown_title(title, suggestions)
    movie = select_movie(title, candidates, movie_id)
    return version.catalogue.positions[movie["source"], movie["id"]]


def row_by_id(version: Version, movie_id: int) -> int:
    """Row of the movie with that id.

    Raises:
        UserError: no movie has the id, or movies of several sources have it.
    """
    positions = version.catalogue.positions.items()
    rows = [row for (_, candidate_id), row in positions if candidate_id == movie_id]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UserError(f"No movie has the id {movie_id}.")
    raise UserError(f"{len(rows)} sources have a movie with the id {movie_id}: add its title.")
