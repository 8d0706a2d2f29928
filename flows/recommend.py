"""recommend: a title in, the movies nearest to it out."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from flows.cli import DONE, main
from tasks.contracts import IndexRef, UserError
from tasks.index import find_title, open_version, shown, similar, unknown_title
from tasks.track import champion


class RecommendConfig(BaseModel):
    """Ten movies like the one named, from the champion's index."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    title: CliPositionalArg[str] = Field(description="Title, as in `Vertical Limit`")
    year: int | None = Field(None, description="Year, where several movies have the title")
    id: int | None = Field(None, description="Id, where title and year are not enough")
    limit: int = Field(10, ge=1, le=1000, description="How many movies")
    as_json: bool = Field(False, alias="json", description="Print a JSON list, for machines")


def the_one(title: str, found: list[dict[str, Any]], movie_id: int | None) -> dict[str, Any]:
    """The movie that was meant among those of a title.

    Raises:
        UserError: several are left, or none has the id; they are listed.
    """
    meant = [movie for movie in found if movie_id in (None, movie["id"])]
    if len(meant) == 1:
        return meant[0]
    choices = "; ".join(f"{shown(movie)}, id {movie['id']}" for movie in found)
    raise UserError(f"Movies called '{title}': {choices}. Say which with --year or --id.")


def recommend(
    index: IndexRef, title: str, year: int | None, limit: int, movie_id: int | None = None
) -> list[dict[str, Any]]:
    """Movies most similar to the one called `title`, best first, itself left out.

    Raises:
        UserError: no movie has the title (with suggestions), or several have it.
    """
    table = open_version(index.uri, index.tag)
    found, suggestions = find_title(table, title, year)
    if not found:
        raise unknown_title(title, suggestions)
    return similar(table, the_one(title, found, movie_id), limit)


def show(title: str, movies: list[dict[str, Any]]) -> None:
    """Print recommendations as a table."""
    table = Table(title=f"Movies like {title}")
    for column in ("title", "year", "genres", "score"):
        table.add_column(column, justify="right" if column in ("year", "score") else "left")
    for movie in movies:
        year = str(movie["year"] or "")
        table.add_row(movie["title"], year, ", ".join(movie["genres"]), f"{movie['score']:.3f}")
    Console().print(table)


def command(config: RecommendConfig) -> int:
    """Answer from the terminal."""
    index = champion()
    if index is None:
        raise UserError("Nothing has been trained yet: run `make train` first.")
    movies = recommend(index, config.title, config.year, config.limit, config.id)
    if config.as_json:
        print(json.dumps(movies, ensure_ascii=False, indent=2))
    else:
        show(config.title, movies)
    return DONE


if __name__ == "__main__":
    main(RecommendConfig, "python -m flows.recommend", command)
