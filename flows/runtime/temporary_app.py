"""Prefect's API for a single run, started by uvicorn; it ends with the process of the run."""

import os

from fastapi import FastAPI

from flows.runtime import garbage
from tasks.core.processes import end_with_parent

PARENT = "MOVIE_RECOMMENDER_SERVER_PARENT"


def app() -> FastAPI:
    """Prefect's API without its UI and most services."""
    end_with_parent(int(os.environ[PARENT]))
    garbage.collect_less()
    with garbage.not_collected():
        from prefect.server.api.server import create_app

        return create_app(ephemeral=True, final=True)
