"""The demo page and its JSON API: what `flows.cli.recommend` answers, asked from a browser."""

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from itertools import chain, zip_longest
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
from flows.cli.recommend import RecommendationQuery, RecommendConfig, recommend, resolve_query
from tasks.core.contracts import RegistryError, UserError
from tasks.core.strict_config import StrictConfig
from tasks.core.text import fold
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.search import Version, find_title, get_version, similar_titles
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.model_registry import limit_client

HOST = "127.0.0.1"
NAMES = [HOST, "localhost"]  # under which a browser may ask: a foreign name that leads here may not
CONNECTIONS = 100  # at a time; more are answered with 503
STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
SECONDS_WITHOUT_REGISTRY = 10.0  # until one that did not answer is asked again
COMPLETIONS = 8
NEAR = 100  # so many near titles are looked at for those that have what was typed in them
SHOWN_INPUT = 60  # so much of a refused value is repeated
logger = logging.getLogger(__name__)
Next = Callable[[Request], Awaitable[Response]]
Movie = dict[str, Any]
Year = Annotated[int, Field(ge=1800, le=2200)]
Title = Annotated[str, Field(min_length=1, max_length=300)]
Genre = Annotated[str, Field(min_length=1, max_length=100)]


class DemoConfig(StrictConfig):
    """The demo page of the champion, on this machine alone."""

    port: int = Field(8000, ge=1, le=65535, description="Port on 127.0.0.1")


class ApiQuery(BaseModel, extra="forbid"):
    """A question of the page: titles (each with an id of its own, or none), ids, or a text."""

    title: list[Title] = Field([], max_length=20)
    id: list[int] = Field([], max_length=20)
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
    def _one_thing_is_asked(self) -> "ApiQuery":
        if bool(self.title or self.id) == (self.text is not None):
            raise ValueError("Ask by title or id, or by text.")
        if self.title and self.id and len(self.title) != len(self.id):
            raise ValueError("Give each title its id, or none.")
        return self

    def config(self) -> RecommendConfig:
        """The same question as the command line has it."""
        rest = self.model_dump(exclude={"title", "id"})
        own = {"titles": self.title, "id": next(iter(self.id), None), "explain": True}
        return RecommendConfig.model_validate({**rest, **own})


class LoadedChampion(NamedTuple):
    """The champion as a request finds it, and its opened version."""

    champion: Champion
    version: Version


class Loader:
    """Loads what requests share, one thread at a time; the caches behind it keep it."""

    def __init__(self) -> None:
        self._versions, self._models = Lock(), Lock()
        self._latest: LoadedChampion | None = None
        self._ask_registry_at = 0.0

    def now(self) -> LoadedChampion:
        """The champion of this moment: a newly published one needs no restart.

        While the registry does not answer, the latest champion stays; it is asked again later.

        Raises:
            UserError: nothing is trained, or the registry cannot be read and never was.
        """
        if self._latest and time.monotonic() < self._ask_registry_at:
            return self._latest
        try:
            current = load_champion()
        except RegistryError as error:
            if self._latest is None:
                raise
            self._ask_registry_at = time.monotonic() + SECONDS_WITHOUT_REGISTRY
            logger.warning("Answering from version %s: %s", self._latest.champion.version, error)
            return self._latest
        with self._versions:
            self._latest = LoadedChampion(current, get_version(current.index))
            return self._latest

    def about_text(self, text: str, now: LoadedChampion) -> RecommendationQuery:
        """The question of a story in one's own words.

        Raises:
            UserError: not one word of it is known.
        """
        with self._models:
            profiles = text_model(now.champion).profile(text, now.version.catalogue)
        return RecommendationQuery(text, profiles, [])


@lru_cache(maxsize=2)
def text_model(champion: Champion) -> TextModel:
    """What turns a text into a profile; a run's files never change."""
    return TextModel(model_folders(champion))


def loader(request: Request) -> Loader:
    """The loader of the app that was asked."""
    found: Loader = request.app.state.loader
    return found


def now(loader: Annotated[Loader, Depends(loader)]) -> LoadedChampion:
    """The champion, for each request anew."""
    return loader.now()


def movies_query(question: ApiQuery, now: LoadedChampion) -> RecommendationQuery:
    """The question of one or several movies, each found as the command line finds it.

    Raises:
        UserError: one cannot be found, or several have its title.
    """
    config, catalogue = question.config(), now.version.catalogue
    alone = [
        config.model_copy(update={"titles": [title] if title else [], "id": movie_id})
        for title, movie_id in zip_longest(question.title, question.id)
    ]
    found = [resolve_query(one, now.version, now.champion) for one in alone]
    rows = list(chain.from_iterable(one.rows for one in found))
    return RecommendationQuery(
        " + ".join(one.name for one in found), catalogue.features_of(rows), rows
    )


def add_overview(movie: Movie, catalogue: Catalogue) -> Movie:
    """An answer with the story of its movie."""
    row = catalogue.positions[movie["source"], movie["id"]]
    return movie | {"overview": catalogue.movie(row)["overview"]}


def recommendations(
    question: Annotated[ApiQuery, Query()],
    now: Annotated[LoadedChampion, Depends(now)],
    loader: Annotated[Loader, Depends(loader)],
) -> dict[str, Any]:
    """Movies most like what is asked about, best first, each with the reasons."""
    text, config = question.text, question.config()
    meant = movies_query(question, now) if text is None else loader.about_text(text, now)
    found = recommend(now.champion, now.version, meant, config)
    movies = [add_overview(movie, now.version.catalogue) for movie in found]
    return {"question": meant.name, "movies": movies}


def completions(version: Version, typed: str) -> list[Movie]:
    """Movies of that title and those whose title has what was typed in it, the most voted for
    first; where there are none, near ones."""
    exact, suggestions = find_title(version, typed)
    near = [movie for movie in similar_titles(version, typed, NEAR) if movie not in exact]
    having = [movie for movie in near if fold(typed) in fold(movie["title"])]
    having.sort(key=lambda movie: _prominence(movie, fold(typed), version.catalogue))
    listed = [movie | {"exact": True} for movie in exact]
    listed += [movie | {"exact": False} for movie in having]
    return listed[:COMPLETIONS] or [movie | {"exact": False} for movie in suggestions]


def _prominence(movie: Movie, typed: str, catalogue: Catalogue) -> tuple[bool, float]:
    votes = catalogue.features.votes[catalogue.positions[movie["source"], movie["id"]]]
    return not fold(movie["title"]).startswith(typed), -float(votes)


def titles(
    now: Annotated[LoadedChampion, Depends(now)],
    q: Annotated[str, Query(min_length=3, max_length=300)],
) -> dict[str, list[Movie]]:
    """Completions of what was typed, at most eight; `exact` are called so."""
    return {"titles": completions(now.version, q)}


def genres(now: Annotated[LoadedChampion, Depends(now)]) -> dict[str, list[str]]:
    """Every genre of the catalogue, by name."""
    names = pc.unique(pc.list_flatten(now.version.catalogue.movies["genres"]))
    return {"genres": sorted(names.to_pylist())}


def languages(now: Annotated[LoadedChampion, Depends(now)]) -> dict[str, list[str]]:
    """Every original language of the catalogue, the most frequent first."""
    counts = pc.value_counts(now.version.catalogue.movies["language"].drop_null()).to_pylist()
    counts.sort(key=lambda count: (-count["counts"], count["values"]))
    return {"languages": [count["values"] for count in counts]}


def sentence(error: RequestValidationError) -> str:
    """What is wrong with each parameter."""
    return " ".join(map(_complaint, error.errors()))


def _complaint(problem: dict[str, Any]) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    name = ".".join(map(str, problem["loc"][1:]))
    if not name:
        return str(message)
    return f"{name}: {message} (got {str(problem['input'])[:SHOWN_INPUT]!r})."


def refused(_: Request, error: Exception) -> JSONResponse:
    """422 and a sentence, for a parameter that is out of its bounds."""
    detail = sentence(error) if isinstance(error, RequestValidationError) else str(error)
    return JSONResponse({"detail": detail}, status_code=422)


def unanswerable(_: Request, error: Exception) -> JSONResponse:
    """404 and the sentence that the command line would print."""
    return JSONResponse({"detail": str(error)}, status_code=404)


async def guarded(request: Request, call_next: Next) -> Response:
    """The answer, with headers that let the page load nothing from elsewhere."""
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
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(UserError, unanswerable)
    app.middleware("http")(guarded)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def listener(port: int) -> socket:
    """A socket on this machine alone.

    Raises:
        UserError: the port cannot be had.
    """
    try:
        return create_server((HOST, port))
    except OSError as error:
        reason = strerror(error.errno or 0)
        raise UserError(f"{HOST}:{port}: {reason}. Say another port with --port.") from error


def command(config: DemoConfig) -> int:
    """Serve until interrupted; without a champion there is nothing to serve."""
    limit_client()
    app = create_app()
    app.state.loader.now()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", limit_concurrency=CONNECTIONS))
    with listener(config.port) as own, suppress(KeyboardInterrupt):
        print(f"Movie recommender on http://{HOST}:{config.port} (Ctrl+C ends it)", flush=True)
        server.run(sockets=[own])
    return DONE


if __name__ == "__main__":
    main(config=DemoConfig, program="python -m app.main", command=command, arguments=sys.argv[1:])
