"""The subcommand `recommend`: titles, an id or a text -> the most similar movies."""

import csv
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import CliPositionalArg
from rich.table import Table

from flows.cli.command_line import DONE
from flows.cli.terminal import text_console
from tasks.core.contracts import UserError
from tasks.recommend.explanation import shared_text, shares_text
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
    output = "json" if config.as_json else config.output
    if output != "table" and query.rows:
        print(f"Movies like {query.name}", file=sys.stderr)
    for note in query.notes:
        print(f"{note} Choose another with --year or --id.", file=sys.stderr)
    show(query.name, movies, output)
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
        with quotes_advised(config.titles):
            return query_from_movies(config, version)
    from tasks.recommend.text_model import TextModel

    return query_from_text(config.text, version, TextModel(model_folders(champion)))


@contextmanager
def quotes_advised(titles: Sequence[str]) -> Iterator[None]:
    """Add to an error that several single words are several titles, unless they are in quotes."""
    try:
        yield
    except UserError as error:
        if len(titles) < 2 or any(" " in title for title in titles):
            raise
        quoted = shlex.quote(" ".join(titles))
        raise UserError(f"{error} A title with spaces needs quotes: {quoted}.") from None


def show(name: str, movies: Sequence[Movie], output: Literal["table", "json", "csv"]) -> None:
    """Print recommendations in an output format; of an empty list no table is printed."""
    if output == "json":
        print(json.dumps(movies, ensure_ascii=False, indent=2))
    elif output == "csv":
        write_csv(movies)
    elif movies:
        text_console().print(movie_table(name, movies))


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
    """An explanation as text: what is shared with the query, then the parts of the score."""
    return f"{shared_text(why)}\n{shares_text(why)}"


def write_csv(movies: Sequence[Movie]) -> None:
    """Print recommendations as CSV, with a column `why` if they have explanations."""
    writer = csv.writer(sys.stdout)
    is_explained = any("why" in movie for movie in movies)
    writer.writerow([*RETURNED_COLUMNS, "score", *(["why"] if is_explained else [])])
    for movie in movies:
        title, genres = spreadsheet_text(movie["title"]), "|".join(movie["genres"])
        cells = [movie["source"], movie["id"], title, movie["year"], genres]
        cells.append(f"{movie['score']:.4f}")
        reason = [spreadsheet_text(shared_text(movie["why"]))] if is_explained else []
        writer.writerow(cells + reason)


def spreadsheet_text(text: str) -> str:
    """The text; with a quote before it if a spreadsheet would run it as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
