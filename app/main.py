"""The demo page and its JSON API: recommendations of the subcommand `recommend` in a browser."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from os import strerror
from pathlib import Path
from socket import socket
from threading import Thread
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from app import answers
from app.catalogue_facts import genres, languages, version
from app.completions import titles
from app.loader import Loader
from app.monitoring import Monitor, health
from app.recommendations import recommendations
from flows.cli.app import start
from flows.cli.command_line import DONE
from flows.runtime.listener import HOST, loopback_listener
from tasks.core.contracts import UserError
from tasks.core.strict_config import StrictConfig
from tasks.registry.model_registry import limit_client

NAMES = [HOST, "localhost"]  # accepted Host headers; others are refused (DNS rebinding)
CONNECTIONS = 100  # concurrent; more get status 503
HEALTH = "/health"
STATIC = Path(__file__).parent / "static"
SWAGGER_UI = resources.files("fastapi_offline") / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
API = (
    "Recommendations, titles and facts of the catalogue, from the champion of the model registry. "
    "A newly promoted version answers without a restart."
)
UNAVAILABLE: dict[str, Any] = {
    "model": answers.Problem,
    "description": "No version can be loaded at the moment",
}
SHOWN_INPUT = 60  # characters of an invalid value in an error message
Next = Callable[[Request], Awaitable[Response]]


class DemoConfig(StrictConfig):
    """Serve the demo page of the champion on this machine."""

    port: int = Field(8000, ge=1, le=65535, description="Port on 127.0.0.1")


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


def user_error(request: Request, error: Exception) -> JSONResponse:
    """Status 404 with the message that the command line prints; 503 where nothing can answer."""
    status = 503 if request.url.path == HEALTH else 404
    return JSONResponse({"detail": str(error)}, status_code=status)


def unavailable(_: Request, error: Exception) -> JSONResponse:
    """Status 503: the storage of the index cannot be read at the moment."""
    return JSONResponse({"detail": str(error)}, status_code=503)


async def add_security_headers(request: Request, call_next: Next) -> Response:
    """The response, with headers that forbid the page to load anything from other hosts."""
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def docs() -> FileResponse:
    """The description of the API as a page."""
    return FileResponse(STATIC / "docs.html")


def add_api(app: FastAPI) -> None:
    """The endpoints under `/api/`, with what they answer."""
    problems: dict[int | str, dict[str, Any]] = {
        404: {"model": answers.Problem, "description": "Nothing can answer these parameters"},
        422: {"model": answers.Problem, "description": "A parameter is invalid"},
        503: UNAVAILABLE,
    }
    endpoints: dict[str, tuple[Callable[..., Any], type[BaseModel]]] = {
        "recommend": (recommendations, answers.Recommendations),
        "titles": (titles, answers.Titles),
        "genres": (genres, answers.Genres),
        "languages": (languages, answers.Languages),
        "version": (version, answers.ServedVersion),
    }
    for name, (endpoint, answer) in endpoints.items():
        app.add_api_route(
            f"/api/{name}", endpoint, response_model=answer, responses=problems, tags=["movies"]
        )


def add_pages(app: FastAPI) -> None:
    """The demo page at `/`, and the description of the API at `/docs`."""
    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/swagger-ui", StaticFiles(directory=str(SWAGGER_UI)))
    app.mount("/", StaticFiles(directory=STATIC, html=True))


def create_app() -> FastAPI:
    """The page, the API under `/api/`, and what operators watch."""
    app = FastAPI(title="Movie recommender", description=API, docs_url=None, redoc_url=None)
    app.state.loader = Loader()
    monitor = Monitor(app)
    add_api(app)
    app.add_api_route(
        HEALTH, health, response_model=answers.Health, responses={503: UNAVAILABLE}, tags=["watch"]
    )
    app.add_api_route("/metrics", monitor.metrics, include_in_schema=False)
    app.add_exception_handler(RequestValidationError, invalid_parameter)
    app.add_exception_handler(UserError, user_error)
    app.add_exception_handler(OSError, unavailable)
    app.middleware("http")(add_security_headers)
    app.middleware("http")(monitor.observe)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False)
    add_pages(app)
    return app


def listener(port: int) -> socket:
    """A socket that accepts connections from this machine only.

    Raises:
        UserError: the port cannot be used.
    """
    try:
        return loopback_listener(port)
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
        Thread(target=app.state.loader.prepare, daemon=True).start()
        server.run(sockets=[server_socket])
    return DONE


if __name__ == "__main__":
    start("demo", "python -m app.main", sys.argv[1:])
