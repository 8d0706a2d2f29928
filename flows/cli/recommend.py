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
from tasks.recommend.catalogue import Catalogue, Filters, Hit
from tasks.recommend.queries import row_by_id, row_by_title
from tasks.recommend.scoring import ItemFeatures
from tasks.recommend.search import Version, get_version, title_with_year
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.model_registry import limit_client

Movie = dict[str, Any]
FIELDS = ("source", "id", "title", "year", "genres")


class RecommendConfig(Filters):
    """Movies similar to the named ones, from the champion's index."""

    titles: CliPositionalArg[list[str]] = Field(
        [], description="Titles, as in `Vertical Limit`; several are combined into one query"
    )
    year: int | None = Field(None, description="Release year, if several movies have the title")
    id: int | None = Field(None, description="Movie id; alone, or if title and year are ambiguous")
    text: str | None = Field(None, description="A plot description instead of a title")
    limit: int = Field(10, ge=1, le=1000, description="Number of movies")
    diversity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Diversity of the list, 0: most similar first; null: the trained setting",
    )
    explain: bool = Field(
        False, description="Print shared words and genres, and the contribution of each feature"
    )
    output: Literal["table", "json", "csv"] = Field("table", description="Output format")
    as_json: bool = Field(
        False, validation_alias=AliasChoices("json"), description="Short for --output json"
    )

    @model_validator(mode="after")
    def _require_query(self) -> "RecommendConfig":
        has_movies = bool(self.titles) or self.id is not None
        if has_movies == (self.text is not None):
            raise ValueError("Give titles, --id or --text")
        return self


class RecommendationQuery(NamedTuple):
    """A resolved query: its title, its features (one row per movie or text), rows to exclude."""

    name: str
    features: ItemFeatures
    rows: list[int]


def command(config: RecommendConfig) -> int:
    """Print the recommendations of the current champion.

    Raises:
        UserError: no champion, no such movie, or no movie matches the filters.
    """
    limit_client()
    champion = load_champion()
    version = get_version(champion.index)
    query = resolve_query(config, version, champion)
    movies = recommend(champion, version, query, config)
    show(query.name, movies, "json" if config.as_json else config.output)
    if not movies:
        raise UserError("No movie passes the filters.")
    return DONE


def resolve_query(
    config: RecommendConfig, version: Version, champion: Champion
) -> RecommendationQuery:
    """The features and rows of the movies or the text that a config names.

    Raises:
        UserError: a movie does not exist or is ambiguous, or no word of a text is known.
    """
    if config.text is None:
        return query_from_movies(config, version)
    from tasks.recommend.text_model import TextModel

        features = TextModel(model_folders(champion)).profile(config.text, catalogue)
        return RecommendationQuery(config.text, features, [])
    if config.titles:
        rows = [row_by_title(version, title, config.year, config.id) for title in config.titles]
    else:
        rows = [row_by_id(version, int(config.id or 0))]
    return movies_query(catalogue, rows)


def movies_query(catalogue: Catalogue, rows: list[int]) -> RecommendationQuery:
    """The query for movies of the index, by their rows."""
    name = " + ".join(title_with_year(catalogue.movie(row)) for row in rows)
    return RecommendationQuery(name, catalogue.features_of(rows), rows)


def recommend(
    champion: Champion, version: Version, query: RecommendationQuery, config: RecommendConfig
) -> list[Movie]:
    """Most similar movies, best first; the query's movies and their duplicates are excluded."""
    catalogue, rank_config = version.catalogue, champion.rank
    if config.diversity is not None:
        rank_config = rank_config.model_copy(update={"diversity": config.diversity})
    hits = catalogue.ranked(
        query.features,
        query.rows,
        config.limit,
        rank_config,
        allowed=catalogue.filter_mask(config),
        near=version.near(query.features),
    )
    movies = [_movie(catalogue, hit) for hit in hits]
    if config.explain:
        for movie, hit in zip(movies, hits, strict=True):
            movie["why"] = catalogue.explain(query.features, hit, rank_config)
            movie["why"]["genres"] = _shared_genres(catalogue, query.rows, movie["genres"])
    return movies


def _movie(catalogue: Catalogue, hit: Hit) -> Movie:
    movie = catalogue.movie(hit.row)
    return {name: movie[name] for name in FIELDS} | {"score": hit.score}


def _shared_genres(
    catalogue: Catalogue, query_rows: Sequence[int], genres: Sequence[str]
) -> list[str]:
    query_genres = {name for row in query_rows for name in catalogue.movie(row)["genres"]}
    return [name for name in genres if name in query_genres]


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
    writer.writerow([*FIELDS, "score"])
    for movie in movies:
        title = f"'{movie['title']}" if movie["title"][:1] in "=+-@" else movie["title"]
        genres = "|".join(movie["genres"])
        writer.writerow(
            [movie["source"], movie["id"], title, movie["year"], genres, f"{movie['score']:.4f}"]
        )
