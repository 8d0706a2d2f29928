"""recommend: titles, an id or a text in, the movies most like it out."""

import csv
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from flows.cli.command_line import DONE, main
from tasks.core.contracts import UserError
from tasks.recommend.query import (
    RecommendationQuery,
    RecommendationRequest,
    query_from_movies,
    query_from_text,
    recommend,
)
from tasks.recommend.search import Version, get_version
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.model_registry import limit_client


class RecommendConfig(RecommendationRequest):
    """Movies like those named, from the champion's index."""

    titles: CliPositionalArg[list[str]] = Field(
        [], description="Titles, as in `Vertical Limit`; several are taken together"
    )
    output: Literal["table", "json", "csv"] = Field("table", description="Form of the answer")
    as_json: bool = Field(
        False, validation_alias=AliasChoices("json"), description="Short for --output json"
    )


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


def show(name: str, movies: Sequence[dict[str, Any]]) -> None:
    """Print recommendations as a table."""
    table = Table(title=f"Movies like {name}")
    explained = any("why" in movie for movie in movies)
    for column in ("title", "year", "genres", "score", *(["why"] if explained else [])):
        table.add_column(column, justify="right" if column in ("year", "score") else "left")
    for movie in movies:
        cells = [movie["title"], str(movie["year"] or ""), ", ".join(movie["genres"])]
        cells.append(f"{movie['score']:.3f}")
        table.add_row(*cells, *([reasons(movie["why"])] if explained else []))
    Console().print(table)


def reasons(why: dict[str, Any]) -> str:
    """An explanation in a line: what is shared, the two cosines, and what gave the score."""
    shares = sorted(why["shares"].items(), key=lambda pair: -pair[1])
    parts = [
        f"words: {', '.join(why['words']) or '–'}",
        f"genres: {', '.join(why['genres']) or '–'}",
        f"content {why['content']:.2f}, genre {why['genre']:.2f}",
        "; ".join(f"{name} {value:.3f}" for name, value in shares if value > 0),
    ]
    return "\n".join(parts)


def write_csv(movies: Sequence[dict[str, Any]]) -> None:
    """Print recommendations as CSV; what a spreadsheet would take for a formula is quoted."""
    writer = csv.writer(sys.stdout)
    writer.writerow(["source", "id", "title", "year", "genres", "score"])
    for movie in movies:
        title = f"'{movie['title']}" if movie["title"][:1] in "=+-@" else movie["title"]
        genres = "|".join(movie["genres"])
        writer.writerow(
            [movie["source"], movie["id"], title, movie["year"], genres, f"{movie['score']:.4f}"]
        )


def command(config: RecommendConfig) -> int:
    """Answer from the terminal."""
    limit_client()
    found = load_champion()
    version = get_version(found.index)
    question = resolve_query(config, version, found)
    movies = recommend(question, config, version, found.rank)
    output = "json" if config.as_json else config.output
    if output == "json":
        print(json.dumps(movies, ensure_ascii=False, indent=2))
    elif output == "csv":
        write_csv(movies)
    elif movies:
        show(question.name, movies)
    if not movies:
        raise UserError("No movie passes the filters.")
    return DONE


if __name__ == "__main__":
    main(RecommendConfig, "python -m flows.recommend", command)
