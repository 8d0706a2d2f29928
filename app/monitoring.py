"""What operators watch: `/health` for load balancers, `/metrics` for Prometheus."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from app.loader import CurrentChampion

Next = Callable[[Request], Awaitable[Response]]
OTHER_PATHS = "other"  # one label for all that no route has, or strangers would invent labels


def health(loaded: CurrentChampion) -> dict[str, Any]:
    """The version that answers, and its number of movies; status 503 where none can be loaded."""
    movies = len(loaded.version.catalogue.movies)
    return {"status": "ok", "version": loaded.champion.version, "movies": movies}


class Monitor:
    """Requests of an app, by path and status, and the version of the last one."""

    def __init__(self, app: FastAPI) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "recommender_requests", "Requests", ["path", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "recommender_request_seconds", "Time to answer", ["path"], registry=self.registry
        )
        self._version = Gauge(
            "recommender_champion_version", "Version that answers", registry=self.registry
        )
        self._version.set_function(lambda: app.state.loader.latest_version)

    async def observe(self, request: Request, call_next: Next) -> Response:
        """Count a request and the time until its response."""
        start, status = time.perf_counter(), 500
        try:
            response = await call_next(request)
            status = response.status_code
        finally:
            path = getattr(request.scope.get("route"), "path", OTHER_PATHS)
            self._requests.labels(path, str(status)).inc()
            self._seconds.labels(path).observe(time.perf_counter() - start)
        return response

    def metrics(self) -> Response:
        """All counts in Prometheus' text format."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
