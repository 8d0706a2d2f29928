"""The demo page and its JSON API: recommendations of `flows.cli.recommend` in a browser."""

import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import zip_longest
from os import strerror
from pathlib import Path
from socket import create_server, socket
from threading import Lock
from typing import Annotated, Any, NamedTuple

import pyarrow.compute as pc
import uvicorn
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field, model_validator
from starlette.middleware.trustedhost import TrustedHostMiddleware

from flows.cli.command_line import DONE, main
from tasks.core.contracts import RegistryError, UserError
from tasks.core.strict_config import StrictConfig
from tasks.core.text import fold
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.query import (
    RecommendationQuery,
    RecommendationRequest,
    query_from_movies,
    query_from_rows,
    query_from_text,
    recommend,
)
from tasks.recommend.search import (
    TITLE_COLUMNS,
    TitleMatches,
    Version,
    find_title,
    get_version,
    similar_titles,
)
from tasks.recommend.text_model import TextModel
from tasks.recommend.title_choice import choose_movie
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.model_registry import limit_client

HOST = "127.0.0.1"
NAMES = [HOST, "localhost"]  # accepted Host headers; others are refused (DNS rebinding)
CONNECTIONS = 100  # concurrent; more get status 503
STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
RETRY_SECONDS = 10.0  # between requests to a registry that does not respond
COMPLETIONS = 8
CANDIDATES = 100  # similar titles that are searched for completions
SHORTEST_SIMILAR = 3  # letters that the search for similar titles compares
SHOWN_INPUT = 60  # characters of an invalid value in an error message
logger = logging.getLogger(__name__)
Next = Callable[[Request], Awaitable[Response]]
Movie = dict[str, Any]
Year = Annotated[int, Field(ge=1800, le=2200)]
Title = Annotated[str, Field(min_length=1, max_length=300)]
MovieId = Annotated[str, Field(min_length=1, max_length=100)]
Genre = Annotated[str, Field(min_length=1, max_length=100)]


class DemoConfig(StrictConfig):
    """Serve the demo page of the champion on this machine."""

    port: int = Field(8000, ge=1, le=65535, description="Port on 127.0.0.1")


class ApiQuery(BaseModel, extra="forbid"):
    """Query parameters: titles (all with ids, or none), ids, or a text; filters."""

    title: list[Title] = Field([], max_length=20)
    id: list[MovieId] = Field([], max_length=20)
    text: str | None = Field(None, min_length=1, max_length=5000)
    year: Year | None = None
    genre: list[Genre] = Field([], max_length=50)
    not_genre: list[Genre] = Field([], max_length=50)
    from_year: Year | None = None
    to_year: Year | None = None
    language: str | None = Field(None, min_length=1, max_length=20)
    limit: int = Field(10, ge=1, le=50)
    diversity: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _require_movies_or_text(self) -> "ApiQuery":
        if bool(self.title or self.id) == (self.text is not None):
            raise ValueError("Give titles or ids, or a text.")
        if self.title and self.id and len(self.title) != len(self.id):
            raise ValueError("Give one id per title, or no ids.")
        return self

    def to_request(self) -> RecommendationRequest:
        """The same request as the command line makes."""
        filters = self.model_dump(exclude={"title", "id"})
        movies = {"titles": self.title, "id": next(iter(self.id), None)}
        return RecommendationRequest.model_validate({**filters, **movies, "explain": True})


class LoadedChampion(NamedTuple):
    """The champion of a request, and its opened index version."""

    champion: Champion
    version: Version


class Loader:
    """Loads the champion and its models, one thread at a time; both are cached."""

    def __init__(self) -> None:
        self._versions, self._models = Lock(), Lock()
        self._latest: LoadedChampion | None = None
        self._next_registry_request = 0.0

    def current(self) -> LoadedChampion:
        """The current champion: a newly promoted version is served without a restart.

        If the registry does not respond, the latest loaded champion is served.

        Raises:
            UserError: there is no champion, or the registry cannot be read on the first request.
        """
        if self._latest and time.monotonic() < self._next_registry_request:
            return self._latest
        try:
            champion = load_champion()
        except RegistryError as error:
            if self._latest is None:
                raise
            self._next_registry_request = time.monotonic() + RETRY_SECONDS
            logger.warning(
                "Serving version %s, because the registry cannot be read: %s",
                self._latest.champion.version,
                error,
            )
            return self._latest
        with self._versions:
            self._latest = LoadedChampion(champion, get_version(champion.index))
            return self._latest

    def text_query(self, text: str, loaded: LoadedChampion) -> RecommendationQuery:
        """The query for a plot description.

        Raises:
            UserError: no word of the text is known.
        """
        with self._models:
            return query_from_text(text, loaded.version, text_model(loaded.champion))


@lru_cache(maxsize=2)
def text_model(champion: Champion) -> TextModel:
    """The champion's text model; the files of a version never change."""
    return TextModel(model_folders(champion))


def app_loader(request: Request) -> Loader:
    """The loader of the app that handles a request."""
    loader: Loader = request.app.state.loader
    return loader


SharedLoader = Annotated[Loader, Depends(app_loader)]


def current_champion(loader: SharedLoader) -> LoadedChampion:
    """The champion at the time of a request."""
    return loader.current()


CurrentChampion = Annotated[LoadedChampion, Depends(current_champion)]


def resolve_movies(query: ApiQuery, loaded: LoadedChampion) -> RecommendationQuery:
    """The query for one or several movies; each is resolved as on the command line.

    Raises:
        UserError: a movie does not exist, or several have its title.
    """
    request, version = query.to_request(), loaded.version
    rows, notes = list[int](), list[str]()
    for title, movie_id in zip_longest(query.title, query.id):
        single = request.model_copy(update={"titles": [title] if title else [], "id": movie_id})
        movie_query = query_from_movies(single, version)
        rows += movie_query.rows
        notes += movie_query.notes
    return query_from_rows(rows, version, tuple(notes))


def add_overview(movie: Movie, catalogue: Catalogue) -> Movie:
    """A recommended movie with its overview."""
    row = catalogue.positions[movie["source"], movie["id"]]
    return movie | {"overview": catalogue.movie(row)["overview"]}


def recommendations(
    parameters: Annotated[ApiQuery, Query()], loaded: CurrentChampion, loader: SharedLoader
) -> dict[str, Any]:
    """Most similar movies, best first, each with its explanation.

    `notes` say which movie was taken where a title can mean several.
    """
    if parameters.text is None:
        query = resolve_movies(parameters, loaded)
    else:
        query = loader.text_query(parameters.text, loaded)
    movies = recommend(query, parameters.to_request(), loaded.version, loaded.champion.rank)
    catalogue = loaded.version.catalogue
    return {
        "question": query.name,
        "notes": list(query.notes),
        "movies": [add_overview(movie, catalogue) for movie in movies],
    }


def completions(version: Version, typed: str, matches: TitleMatches) -> list[Movie]:
    """Movies of that title, then titles that contain the typed text; else similar titles.

    The best known come first, but titles that start with the typed text before others.
    """
    catalogue = version.catalogue
    exact = sorted(matches.movies, key=lambda movie: _prominence(movie, "", catalogue))
    similar = [movie for movie in near_titles(version, typed) if movie not in exact]
    containing = [movie for movie in similar if fold(typed) in fold(movie["title"])]
    containing.sort(key=lambda movie: _prominence(movie, fold(typed), catalogue))
    movies = [movie | {"exact": True} for movie in exact]
    movies += [movie | {"exact": False} for movie in containing]
    return movies[:COMPLETIONS] or [movie | {"exact": False} for movie in matches.suggestions]


def near_titles(version: Version, typed: str) -> list[Movie]:
    """Movies with similar titles; of a text that is too short to be similar, that start with it."""
    key = fold(typed)
    if len(key) >= SHORTEST_SIMILAR:
        return similar_titles(version, typed, CANDIDATES)
    rows = version.catalogue.rows_starting_with(key) if key else []
    movies = map(version.catalogue.movie, best_known_first(version.catalogue, rows)[:CANDIDATES])
    return [{name: movie[name] for name in TITLE_COLUMNS} for movie in movies]


def best_known_first(catalogue: Catalogue, rows: Sequence[int]) -> list[int]:
    """The same rows, those with most votes first."""
    return sorted(rows, key=lambda row: -float(catalogue.features.votes[row]))


def meant_movie(version: Version, typed: str, matches: TitleMatches) -> Movie | None:
    """The movie that the typed title alone means, with a `note` where others could be meant."""
    choice = choose_movie(version.catalogue, typed, matches)
    if choice is None:
        return None
    movie = version.catalogue.movie(choice.row)
    return {name: movie[name] for name in TITLE_COLUMNS} | {"note": choice.note}


def _prominence(movie: Movie, typed: str, catalogue: Catalogue) -> tuple[bool, float]:
    votes = catalogue.features.votes[catalogue.positions[movie["source"], movie["id"]]]
    return not fold(movie["title"]).startswith(typed), -float(votes)


def titles(
    loaded: CurrentChampion, q: Annotated[str, Query(min_length=1, max_length=300)]
) -> dict[str, Any]:
    """At most eight completions of the typed text `q`, and the movie that it `meant`, or null.

    `exact`: the title is equal to the text.
    """
    matches = find_title(loaded.version, q)
    return {
        "titles": completions(loaded.version, q, matches),
        "meant": meant_movie(loaded.version, q, matches),
    }


def genres(loaded: CurrentChampion) -> dict[str, list[str]]:
    """Every genre of the catalogue, sorted by name."""
    names = pc.unique(pc.list_flatten(loaded.version.catalogue.movies["genres"]))
    return {"genres": sorted(names.to_pylist())}


def languages(loaded: CurrentChampion) -> dict[str, list[str]]:
    """Every original language of the catalogue, the most frequent first."""
    counts = pc.value_counts(loaded.version.catalogue.movies["language"].drop_null()).to_pylist()
    counts.sort(key=lambda count: (-count["counts"], count["values"]))
    return {"languages": [count["values"] for count in counts]}


def validation_message(error: RequestValidationError) -> str:
    """One sentence for each invalid parameter."""
    return " ".join(map(_problem_message, error.errors()))


def _problem_message(problem: dict[str, Any]) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    name = ".".join(map(str, problem["loc"][1:]))
    if not name:
        return str(message)
    return f"{name}: {message} (got {str(problem['input'])[:SHOWN_INPUT]!r})."


def invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    """Status 422 with one sentence for each invalid parameter."""
    detail = validation_message(error) if isinstance(error, RequestValidationError) else str(error)
    return JSONResponse({"detail": detail}, status_code=422)


def user_error(_: Request, error: Exception) -> JSONResponse:
    """Status 404 with the message that the command line prints."""
    return JSONResponse({"detail": str(error)}, status_code=404)


async def add_security_headers(request: Request, call_next: Next) -> Response:
    """The response, with headers that forbid the page to load anything from other hosts."""
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def create_app() -> FastAPI:
    """The page at `/`, the API under `/api/`."""
    app = FastAPI(title="Movie recommender", docs_url=None, redoc_url=None)
    app.state.loader = Loader()
    for endpoint in (titles, genres, languages):
        app.add_api_route(f"/api/{endpoint.__name__}", endpoint)
    app.add_api_route("/api/recommend", recommendations)
    app.add_exception_handler(RequestValidationError, invalid_parameter)
    app.add_exception_handler(UserError, user_error)
    app.middleware("http")(add_security_headers)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def listener(port: int) -> socket:
    """A socket that accepts connections from this machine only.

    Raises:
        UserError: the port cannot be used.
    """
    try:
        return create_server((HOST, port))
    except OSError as error:
        reason = strerror(error.errno or 0)
        raise UserError(f"{HOST}:{port}: {reason}. Choose another port with --port.") from error


def command(config: DemoConfig) -> int:
    """Serve the page until interrupted.

    Raises:
        UserError: there is no champion, or the port cannot be used.
    """
    limit_client()
    app = create_app()
    app.state.loader.current()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", limit_concurrency=CONNECTIONS))
    with listener(config.port) as server_socket, suppress(KeyboardInterrupt):
        print(f"Movie recommender on http://{HOST}:{config.port} (Ctrl+C ends it)", flush=True)
        server.run(sockets=[server_socket])
    return DONE


if __name__ == "__main__":
    main(config=DemoConfig, program="python -m app.main", command=command, arguments=sys.argv[1:])
