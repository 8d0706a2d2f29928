"""Artifacts root -> a connected MLflow client and the experiment of all runs."""

import logging
import os
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from tasks.core.locks import file_lock
from tasks.core.shared_folders import share_new_files
from tasks.core.storage import store
from tasks.core.storage.remote import is_url
from tasks.registry.model_registry import (
    EXPERIMENT,
    registry_errors,
    require_reachable,
    sqlite_file,
    tracking_uri,
)
from tasks.registry.tracking.relocation import update_moved_paths

DATABASE_LOCK_SECONDS = 180.0  # creating or migrating MLflow's tables takes about ten seconds


def connect() -> mlflow.MlflowClient:
    """A client of the tracking server; the first connection also creates the database.

    Raises:
        RegistryError: the server does not answer, or the database is damaged.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(tracking_uri())
    with registry_errors(tracking_uri()):
        return open_client(tracking_uri(), store.artifacts_root())


@lru_cache(maxsize=4)
def open_client(uri: str, root: Path) -> mlflow.MlflowClient:
    """A client of a tracking server, created once per process.

    The lock: two processes that create MLflow's tables at the same time would both fail. It is
    skipped in a read-only root, where no database can be created.

    Raises:
        UserError: the root was moved while a run is writing to it.
    """
    require_reachable(uri)
    root.mkdir(parents=True, exist_ok=True)
    lock = file_lock(root / "mlflow.lock", "open MLflow's database", DATABASE_LOCK_SECONDS)
    is_writable = os.access(root, os.W_OK)
    with lock if is_writable else nullcontext():
        if is_writable:
            share_new_files(root)
            create_database_file()
        client = mlflow.MlflowClient(uri)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        if is_writable:
            update_moved_paths(client)
    return client


def create_database_file() -> None:
    """Create a missing SQLite file empty: SQLite itself would give the group no access to it."""
    file = sqlite_file()
    if file and file.parent.is_dir() and not file.exists():
        file.touch()


def experiment_id(client: mlflow.MlflowClient) -> str:
    """Id of the experiment of all runs; it is created on first use."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment:
        return str(experiment.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=artifact_location()))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment_id(client)  # another process created it at the same time


def artifact_location() -> str | None:
    """Where runs store files: under the artifacts root; None leaves the choice to a server."""
    if tracking_uri().startswith("http"):
        return None
    location = store.uri_of("mlruns")
    return location if is_url(location) else Path(location).as_uri()
