"""recommend: titles, an id or a text in, the movies most like it out."""

import csv
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import AliasChoices, ConfigDict, Field, model_validator
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from flows.cli.command_line import DONE, main
from tasks.core.contracts import UserError
from tasks.recommend.catalogue import Filters, Hit
from tasks.recommend.scoring import ItemFeatures
from tasks.recommend.search import Version, find_title, get_version, title_with_year, unknown_title
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.model_registry import limit_client


class RecommendConfig(Filters):
    """Movies like those named, from the champion's index."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    titles: CliPositionalArg[list[str]] = Field(
        [], description="Titles, as in `Vertical Limit`; several are taken together"
    )
    year: int | None = Field(None, description="Year, where several movies have the title")
    id: int | None = Field(None, description="Id; alone, or where title and year are not enough")
    text: str | None = Field(None, description="A story in your own words instead of a title")
    limit: int = Field(10, ge=1, le=1000, description="How many movies")
    diversity: float | None = Field(
        None, ge=0, le=1, description="How different from each other; null: as trained"
    )
    explain: bool = Field(False, description="Say why: words and genres in common, shares")
    output: Literal["table", "json", "csv"] = Field("table", description="Form of the answer")
    as_json: bool = Field(
        False, validation_alias=AliasChoices("json"), description="Short for --output json"
    )

    @model_validator(mode="after")
    def _something_is_asked(self) -> "RecommendConfig":
        named = bool(self.titles) or self.id is not None
        if named == (self.text is not None):
            raise ValueError("Give titles, --id or --text")
        return self


class RecommendationQuery(NamedTuple):
    """What lists are made for: profiles of the movies or the text, and rows not to answer with."""

    name: str
    features: ItemFeatures
    rows: list[int]


def select_movie(title: str, found: list[dict[str, Any]], movie_id: int | None) -> dict[str, Any]:
    """The movie that was meant among those of a title.

    Raises:
        UserError: several are left, or none has the id; they are listed.
    """
    meant = [movie for movie in found if movie_id in (None, movie["id"])]
    if len(meant) == 1:
        return meant[0]
    choices = "; ".join(f"{title_with_year(movie)}, id {movie['id']}" for movie in found)
    raise UserError(f"Movies called '{title}': {choices}. Say which with --year or --id.")


def row_by_title(version: Version, title: str, year: int | None, movie_id: int | None) -> int:
    """Row of the movie called `title`.

    Raises:
        UserError: none has the title (with suggestions), or several have it.
    """
    found, suggestions = find_title(version, title, year)
    if not found:
        raise unknown_title(title, suggestions)
    movie = select_movie(title, found, movie_id)
    return version.catalogue.positions[movie["source"], movie["id"]]


def row_by_id(version: Version, movie_id: int) -> int:
    """Row of the movie with that id.

    Raises:
        UserError: there is none, or sources share the id.
    """
    rows = [row for (_, own), row in version.catalogue.positions.items() if own == movie_id]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UserError(f"No movie has the id {movie_id}.")
    raise UserError(f"{len(rows)} sources have a movie with the id {movie_id}: name its title too.")


def resolve_query(
    config: RecommendConfig, version: Version, found: Champion
) -> RecommendationQuery:
    """The question of a command line.

    Raises:
        UserError: what is asked about cannot be found, or a text has no known word.
    """
    catalogue = version.catalogue
    if config.text is not None:
        from tasks.recommend.text_model import TextModel

        profiles = TextModel(model_folders(found)).profile(config.text, catalogue)
        return RecommendationQuery(config.text, profiles, [])
    if config.titles:
        rows = [row_by_title(version, title, config.year, config.id) for title in config.titles]
    else:
        rows = [row_by_id(version, int(config.id or 0))]
    names = " + ".join(title_with_year(catalogue.movie(row)) for row in rows)
    return RecommendationQuery(names, catalogue.features_of(rows), rows)


def recommend(
    found: Champion, version: Version, question: RecommendationQuery, config: RecommendConfig
) -> list[dict[str, Any]]:
    """Movies most like what is asked about, best first, itself and copies left out."""
    catalogue, rank = version.catalogue, found.rank
    if config.diversity is not None:
        rank = rank.model_copy(update={"diversity": config.diversity})
    allowed = catalogue.filter_mask(config)
    asked_for = (question.features, question.rows, config.limit, rank, allowed)
    hits = catalogue.ranked(*asked_for, version.near(question.features))
    answers = []
    for hit in hits:
        answer = _answer(version, hit)
        if config.explain:
            answer |= {"why": catalogue.explain(question.features, hit, rank)}
            answer["why"]["genres"] = _shared(version, question.rows, answer["genres"])
        answers.append(answer)
    return answers


def _answer(version: Version, hit: Hit) -> dict[str, Any]:
    movie = version.catalogue.movie(hit.row)
    kept = ("source", "id", "title", "year", "genres")
    return {name: movie[name] for name in kept} | {"score": hit.score}


def _shared(version: Version, rows: Sequence[int], genres: Sequence[str]) -> list[str]:
    own = {name for row in rows for name in version.catalogue.movie(row)["genres"]}
    return [name for name in genres if name in own]


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
    movies = recommend(found, version, question, config)
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
