"""The subcommand `predict`: a text, a title or a file of movies -> genres with probabilities."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ConfigDict, Field, model_validator
from pydantic_settings import CliPositionalArg
from rich.table import Table

from flows.cli.command_line import DONE
from flows.cli.terminal import text_console
from tasks.core.contracts import IndexRef, UserError
from tasks.core.strict_config import StrictConfig
from tasks.data.ingest import IngestConfig, open_sources, read_files
from tasks.data.validation import IngestState
from tasks.recommend.search import get_version
from tasks.recommend.text_model import NO_KNOWN_WORD, GenrePrediction, TextModel
from tasks.recommend.title_choice import resolve_title
from tasks.registry.champion import load_champion, model_folders
from tasks.registry.model_registry import limit_client

REQUIRED = ("title", "overview")


class PredictConfig(StrictConfig):
    """Genres of a movie by its title, of a text, or of every movie in a file."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    title: CliPositionalArg[str | None] = Field(None, description="Title of a movie in the index")
    year: int | None = Field(None, description="Release year, if several movies have the title")
    text: str | None = Field(None, description="A text, such as an overview")
    file: str | None = Field(None, description="File of movies; genres not needed")
    top_n: int | None = Field(
        None,
        ge=1,
        alias="top-n",
        description="Number of most probable genres; null: all genres above their threshold",
    )
    as_json: bool = Field(False, alias="json", description="Print a JSON list")

    @model_validator(mode="after")
    def _require_one_input(self) -> "PredictConfig":
        if sum(value is not None for value in (self.title, self.text, self.file)) != 1:
            raise ValueError("Give one of a title, --text or --file")
        return self


class Movie(NamedTuple):
    """Input of a prediction; the id is None for a text."""

    id: str | None
    title: str
    overview: str
    keywords: Sequence[str] = ()


def command(config: PredictConfig) -> int:
    """Print the genres that the current champion predicts.

    Raises:
        UserError: no champion, invalid input, or a text without a known word.
    """
    limit_client()
    champion = load_champion()
    model = TextModel(model_folders(champion))
    rows = [
        row
        for movies in read_input(config, champion.index)
        for row in predict(model, movies, config.top_n)
    ]
    if config.as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        show(rows)
    if config.text is not None and not model.predict_genres([""], [config.text])[0].probabilities:
        raise UserError(NO_KNOWN_WORD)
    return DONE


def read_input(config: PredictConfig, index: IndexRef) -> Iterator[list[Movie]]:
    """The movies that a config names, chunk-wise."""
    if config.file is not None:
        yield from read_movies(config.file)
    elif config.title is not None:
        yield [movie_by_title(index, config.title, config.year)]
    else:
        yield [Movie(None, "", str(config.text))]


def movie_by_title(index: IndexRef, title: str, year: int | None) -> Movie:
    """The movie of that title in the champion's index; a note on stderr if others could be meant.

    Raises:
        UserError: no movie has the title, or several have it and none is clearly the best known.
    """
    version = get_version(index)
    choice = resolve_title(version, title, year, None)
    if choice.note:
        print(f"{choice.note} Choose another with --year.", file=sys.stderr)
    movie = version.catalogue.movie(choice.row)
    return Movie(movie["id"], movie["title"], movie["overview"], movie.get("keywords") or [])


def read_movies(path: str) -> Iterator[list[Movie]]:
    """The valid movies of a file, chunk-wise; every invalid row is reported on stderr.

    Raises:
        UserError: the file cannot be read, or a required column is missing.
    """
    config = IngestConfig()
    for opened in open_sources([path], config, required=REQUIRED):
        state = IngestState(opened.source.name)
        for chunk in read_files(opened, config.chunk_rows, state):
            report_invalid_rows(chunk.quarantine.to_pylist())
            columns = (chunk.movies[name].to_pylist() for name in Movie._fields)
            yield [Movie(*values) for values in zip(*columns, strict=True)]


def report_invalid_rows(quarantine: Sequence[dict[str, Any]]) -> None:
    """Print file, row, column and reason of each quarantined row to stderr."""
    for row in quarantine:
        location = f"{row['source']} row {row['row']}, column '{row['column']}'"
        print(f"{location}: {row['reason']}, left out.", file=sys.stderr)


def predict(model: TextModel, movies: Sequence[Movie], top_n: int | None) -> list[dict[str, Any]]:
    """`id`, `title` and `genres` (probability by name) of each movie."""
    predictions = model.predict_genres(
        [movie.title for movie in movies],
        [movie.overview for movie in movies],
        [movie.keywords for movie in movies],
    )
    return [
        {"id": movie.id, "title": movie.title, "genres": select_genres(prediction, top_n)}
        for movie, prediction in zip(movies, predictions, strict=True)
    ]


def select_genres(prediction: GenrePrediction, top_n: int | None) -> dict[str, float]:
    """The `top_n` genres, else those above their thresholds, with probabilities in [0, 1].

    The most probable genre comes first.
    """
    ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    if top_n is not None:
        return dict(ranked[:top_n])
    return {name: probability for name, probability in ranked if name in prediction.genres}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the genres as a table."""
    table = Table("title", "genres")
    for row in rows:
        genres = ", ".join(f"{name} {value:.2f}" for name, value in row["genres"].items())
        table.add_row(row["title"] or "(text)", genres or "–")
    text_console().print(table)
