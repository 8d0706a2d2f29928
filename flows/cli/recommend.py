"""The subcommand `recommend`: titles, an id or a text -> the most similar movies."""

import csv
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from flows.cli.command_line import DONE
from tasks.core.contracts import UserError
from tasks.recommend.query import (
    RETURNED_COLUMNS,
    RecommendationQuery,
    RecommendationRequest,
    query_from_movies,
    query_from_text,
    recommend,
)
from tasks.recommend.search import Version, get_version
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.model_registry import limit_client

Movie = dict[str, Any]


class RecommendConfig(RecommendationRequest):
    """Movies similar to the named ones, from the champion's index."""

    titles: CliPositionalArg[list[str]] = Field(
        [], description="Titles, as in `Vertical Limit`; several are combined into one query"
    )
    output: Literal["table", "json", "csv"] = Field("table", description="Output format")
    as_json: bool = Field(
        False, validation_alias=AliasChoices("json"), description="Short for --output json"
    )


def command(config: RecommendConfig) -> int:
    """Print the recommendations of the current champion.

    Raises:
        UserError: no champion, no such movie, or no movie matches the filters.
    """
    limit_client()
    champion = load_champion()
    version = get_version(champion.index)
    query = resolve_query(config, version, champion)
    movies = recommend(query, config, version, champion.rank)
    show(query.name, movies, "json" if config.as_json else config.output)
    if not movies:
        raise UserError("No movie passes the filters.")
    return DONE


def resolve_query(
    config: RecommendConfig, version: Version, champion: Champion
) -> RecommendationQuery:
    """The query of a command line; the text model is loaded only for a text.

    Raises:
        UserError: a title or id is unknown or ambiguous, or no word of a text is known.
    """
    if config.text is None:
        return query_from_movies(config, version)
    from tasks.recommend.text_model import TextModel

    return query_from_text(config.text, version, TextModel(model_folders(champion)))


def show(name: str, movies: Sequence[Movie], output: Literal["table", "json", "csv"]) -> None:
    """Print recommendations in an output format; of an empty list no table is printed."""
    if output == "json":
        print(json.dumps(movies, ensure_ascii=False, indent=2))
    elif output == "csv":
        write_csv(movies)
    elif movies:
        Console().print(movie_table(name, movies))


def movie_table(name: str, movies: Sequence[Movie]) -> Table:
    """Recommendations as a table, with their explanations if they have some."""
    table = Table(title=f"Movies like {name}")
    is_explained = any("why" in movie for movie in movies)
    for column in ("title", "year", "genres", "score", *(["why"] if is_explained else [])):
        table.add_column(column, justify="right" if column in ("year", "score") else "left")
    for movie in movies:
        cells = [movie["title"], str(movie["year"] or ""), ", ".join(movie["genres"])]
        cells.append(f"{movie['score']:.3f}")
        table.add_row(*cells, *([reasons(movie["why"])] if is_explained else []))
    return table


def reasons(why: dict[str, Any]) -> str:
    """An explanation as text: shared words and genres, cosines, score contributions."""
    contributions = sorted(why["shares"].items(), key=lambda pair: -pair[1])
    parts = [
        f"words: {', '.join(why['words']) or '–'}",
        f"genres: {', '.join(why['genres']) or '–'}",
        f"content {why['content']:.2f}, genre {why['genre']:.2f}",
        "; ".join(f"{name} {value:.3f}" for name, value in contributions if value > 0),
    ]
    return "\n".join(parts)


def write_csv(movies: Sequence[Movie]) -> None:
    """Print recommendations as CSV; a title that a spreadsheet would run as a formula is quoted."""
    writer = csv.writer(sys.stdout)
    writer.writerow([*RETURNED_COLUMNS, "score"])
    for movie in movies:
        title = f"'{movie['title']}" if movie["title"][:1] in "=+-@" else movie["title"]
        genres = "|".join(movie["genres"])
        writer.writerow(
            [movie["source"], movie["id"], title, movie["year"], genres, f"{movie['score']:.4f}"]
        )
