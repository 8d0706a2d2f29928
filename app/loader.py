"""The champion of a request: loaded once, and replaced when another version is promoted."""

import logging
import time
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from tasks.core.contracts import RegistryError, UserError
from tasks.recommend.query import (
    RecommendationQuery,
    RecommendationRequest,
    query_from_movies,
    query_from_text,
    recommend,
)
from tasks.recommend.search import Version, get_version
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion, load_champion, model_folders

RETRY_SECONDS = 10.0  # between requests to a registry that does not respond
logger = logging.getLogger(__name__)


class LoadedChampion(NamedTuple):
    """The champion of a request, and its opened index version."""

    champion: Champion
    version: Version


class Loader:
    """Loads the champion and its models, one thread at a time; both are cached."""

    def __init__(self) -> None:
        self._versions, self._models = Lock(), Lock()
        #: Held while a question is answered: threads that compute at the same time wait longer
        #: for the interpreter than for each other.
        self.turn = Lock()
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

    @property
    def latest_version(self) -> float:
        """Number of the version that answered last; 0 before the first answer."""
        return float(self._latest.champion.version or 0) if self._latest else 0.0

    def prepare(self) -> None:
        """Load what is loaded once, so that the first questions are answered as fast as others."""
        try:
            self._ask_first_movie(self.current())
        except (UserError, OSError) as error:
            logger.warning("The first questions take longer: %s", error)
        self.preload_text_model()

    def _ask_first_movie(self, loaded: LoadedChampion) -> None:
        movie = loaded.version.catalogue.movie(0)
        request = RecommendationRequest(titles=[movie["title"]], id=movie["id"], explain=True)
        with suppress(UserError):  # two sources have a movie of this title and id
            query = query_from_movies(request, loaded.version)
            with self.turn:
                recommend(query, request, loaded.version, loaded.champion.rank)

    def preload_text_model(self) -> None:
        """Load the text model; where it cannot be loaded, descriptions alone have no answer."""
        try:
            with self._models:
                text_model(self.current().champion)
        except (UserError, OSError) as error:
            logger.warning("Descriptions cannot be answered: %s", error)

    def text_query(self, text: str, loaded: LoadedChampion) -> RecommendationQuery:
        """The query for a plot description.

        Raises:
            UserError: no word of the text is known.
        """
        with self._models:
            return query_from_text(text, loaded.version, text_model(loaded.champion))


def text_model(champion: Champion) -> TextModel:
    """The champion's text model, loaded once: the files of a version never change."""
    return _text_model(champion.model_dump_json())


@lru_cache(maxsize=2)
def _text_model(champion: str) -> TextModel:
    return TextModel(model_folders(Champion.model_validate_json(champion)))


def app_loader(request: Request) -> Loader:
    """The loader of the app that handles a request."""
    loader: Loader = request.app.state.loader
    return loader


SharedLoader = Annotated[Loader, Depends(app_loader)]


def current_champion(loader: SharedLoader) -> LoadedChampion:
    """The champion at the time of a request."""
    return loader.current()


CurrentChampion = Annotated[LoadedChampion, Depends(current_champion)]
