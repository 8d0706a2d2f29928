"""predict: a text, a title or a file of movies in, genres with their probabilities out."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ConfigDict, Field, model_validator
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from flows.cli.command_line import DONE, main
from tasks.core.contracts import IndexRef, UserError
from tasks.core.strict_config import StrictConfig
from tasks.data.ingest import IngestConfig, open_sources, read_chunks
from tasks.data.validation import IngestState
from tasks.recommend.query import row_by_title
from tasks.recommend.search import get_version
from tasks.recommend.text_model import NO_KNOWN_WORD, GenrePrediction, TextModel
from tasks.registry.champion import load_champion, model_folders
from tasks.registry.model_registry import limit_client

Genres = dict[str, float]
REQUIRED = ("id", "title", "overview")


class PredictConfig(StrictConfig):
    """Genres of a movie by its title, of a text, or of every movie in a file."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    title: CliPositionalArg[str | None] = Field(None, description="Title of a movie in the index")
    year: int | None = Field(None, description="Year, where several movies have the title")
    text: str | None = Field(None, description="A text, such as an overview")
    file: str | None = Field(None, description="CSV or parquet file of movies; genres not needed")
    top_n: int | None = Field(
        None,
        ge=1,
        alias="top-n",
        description="The so many most probable genres; null: those over their thresholds",
    )
    as_json: bool = Field(False, alias="json", description="Print a JSON list, for machines")

    @model_validator(mode="after")
    def _one_question(self) -> "PredictConfig":
        if sum(given is not None for given in (self.title, self.text, self.file)) != 1:
            raise ValueError("Give one of a title, --text or --file")
        return self


class Movie(NamedTuple):
    """What is asked about: where it came from, if from a file, and its texts."""

    id: int | None
    title: str
    overview: str
    keywords: Sequence[str] = ()


def genres_of(answer: GenrePrediction, top_n: int | None) -> Genres:
    """Predicted genres with their probabilities, most probable first."""
    ranked = sorted(answer.probabilities.items(), key=lambda pair: -pair[1])
    if top_n is not None:
        return dict(ranked[:top_n])
    return {name: probability for name, probability in ranked if name in answer.genres}


def movie_by_title(index: IndexRef, title: str, year: int | None) -> Movie:
    """The movie of that title in the champion's index.

    Raises:
        UserError: none has the title, or several have it.
    """
    version = get_version(index)
    movie = version.catalogue.movie(row_by_title(version, title, year, None))
    return Movie(movie["id"], movie["title"], movie["overview"], movie.get("keywords") or [])


def read_movies(path: str) -> Iterator[list[Movie]]:
    """The movies of a file, a chunk at a time; what cannot be read is named on stderr.

    Raises:
        UserError: the file cannot be read, or its columns cannot be found.
    """
    config = IngestConfig()
    for named, files in open_sources([path], config, required=REQUIRED):
        catalogue = IngestState(named.name, set(), {})
        for chunk in (c for file in files for c in read_chunks(file, config.chunk_rows, catalogue)):
            for bad in chunk.quarantine.to_pylist():
                where = f"{bad['source']} row {bad['row']}, column '{bad['column']}'"
                print(f"{where}: {bad['reason']}, left out.", file=sys.stderr)
            columns = (chunk.movies[name].to_pylist() for name in Movie._fields)
            yield [Movie(*row) for row in zip(*columns, strict=True)]


def read_query(config: PredictConfig, index: IndexRef) -> Iterator[list[Movie]]:
    """What the command line asks about."""
    if config.file is not None:
        yield from read_movies(config.file)
    elif config.title is not None:
        yield [movie_by_title(index, config.title, config.year)]
    else:
        yield [Movie(None, "", str(config.text))]


def predict(model: TextModel, movies: Sequence[Movie], top_n: int | None) -> list[dict[str, Any]]:
    """A row a movie: `id` and `title` where known, and `genres` with their probabilities."""
    answers = model.predict_genres(
        [movie.title for movie in movies],
        [movie.overview for movie in movies],
        [movie.keywords for movie in movies],
    )
    return [
        {"id": movie.id, "title": movie.title, "genres": genres_of(answer, top_n)}
        for movie, answer in zip(movies, answers, strict=True)
    ]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the genres as a table."""
    table = Table("title", "genres")
    for row in rows:
        genres = ", ".join(f"{name} {value:.2f}" for name, value in row["genres"].items())
        table.add_row(row["title"] or "(text)", genres or "–")
    Console().print(table)


def command(config: PredictConfig) -> int:
    """Answer from the terminal."""
    limit_client()
    found = load_champion()
    model = TextModel(model_folders(found))
    rows = [
        row
        for movies in read_query(config, found.index)
        for row in predict(model, movies, config.top_n)
    ]
    if config.as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        show(rows)
    if config.text is not None and not model.predict_genres([""], [config.text])[0].probabilities:
        raise UserError(NO_KNOWN_WORD)
    return DONE


if __name__ == "__main__":
    main(PredictConfig, "python -m flows.predict", command)
