"""Artifacts root -> a connected MLflow client and the experiment of all runs."""

import logging
import os
import shlex
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.exceptions import MlflowException

from tasks.core.contracts import UserError
from tasks.core.locks import file_lock
from tasks.core.storage import store
from tasks.core.storage.remote import is_url
from tasks.registry.model_registry import (
    is_root_database,
    registry_errors,
    require_reachable,
    tracking_uri,
)

EXPERIMENT = "movie-recommender"
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
    """
    require_reachable(uri)
    root.mkdir(parents=True, exist_ok=True)
    lock = file_lock(root / "mlflow.lock", "open MLflow's database", DATABASE_LOCK_SECONDS)
    with lock if os.access(root, os.W_OK) else nullcontext():
        client = mlflow.MlflowClient(uri)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    return client


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


def require_experiment_of_this_root(client: mlflow.MlflowClient, experiment: str) -> None:
    """Check that the runs of an experiment store their files under the current artifacts root.

    MLflow stores the location as an absolute path. In a root that was moved or copied, new runs
    would write to the earlier place.

    Raises:
        UserError: the root was moved or copied.
    """
    location = client.get_experiment(experiment).artifact_location
    if not is_root_database() or not location.startswith("file:"):
        return
    stored_root = Path(unquote(urlsplit(location).path)).parent
    root = store.artifacts_root()
    if stored_root == root or (stored_root.exists() and stored_root.samefile(root)):
        return
    if stored_root.exists():
        raise UserError(
            f"{root} is a copy of {stored_root}, and its MLflow database still points there. "
            f"Train with RECOMMENDER_ARTIFACTS={stored_root}, or in a new, empty root."
        )
    raise UserError(
        f"{root} was moved from {stored_root}, and its MLflow database still points there. "
        "Move it back, or create a link: " + shlex.join(["ln", "-s", str(root), str(stored_root)])
    )
