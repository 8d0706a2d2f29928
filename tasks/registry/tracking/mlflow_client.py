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
    is_own_registry,
    registry_errors,
    require_reachable,
    tracking_uri,
)

EXPERIMENT = "movie-recommender"
DATABASE_LOCK_SECONDS = 180.0  # making or migrating MLflow's tables takes some ten seconds


def connect() -> mlflow.MlflowClient:
    """Client of the tracking server; the first connection ever also makes the database.

    Raises:
        RegistryError: the server does not answer, or the database is damaged.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(tracking_uri())
    with registry_errors(tracking_uri()):
        return _opened(tracking_uri(), store.artifacts_root())


@lru_cache(maxsize=4)
def _opened(uri: str, root: Path) -> mlflow.MlflowClient:
    """A client of a tracking server, once a process.

    The first use of a database makes its tables; two runs that did so at once would both fail. On a
    root that cannot be written there is nothing to make.
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
    """The experiment of all runs, made on first use with its files under the artifacts root."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    served = tracking_uri().startswith("http")  # a server knows itself where its files go
    location = None if served else store.uri_of("mlruns")
    if location and not is_url(location):
        location = Path(location).as_uri()
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment_id(client)  # another run made it meanwhile


def require_experiment_of_this_root(client: mlflow.MlflowClient, experiment: str) -> None:
    """Raises UserError if the registry under this root still leads to where the root was before.

    MLflow stores where a run's files go as an absolute path: new ones would be written there.
    """
    location = client.get_experiment(experiment).artifact_location
    expected = store.artifacts_root() / "mlruns"
    stored = Path(unquote(urlsplit(location).path)) if location.startswith("file:") else None
    if not is_own_registry() or stored is None or stored == expected:
        return
    if stored.parent.exists() and stored.parent.samefile(expected.parent):
        return
    if stored.parent.exists():
        raise UserError(
            f"{expected.parent} is a copy of {stored.parent}, and its MLflow database still leads "
            f"there. Train with RECOMMENDER_ARTIFACTS={stored.parent}, or in a new, empty root."
        )
    raise UserError(
        f"{expected.parent} was moved from {stored.parent}, where its MLflow database still leads. "
        "Move it back, or leave a link there: "
        + shlex.join(["ln", "-s", str(expected.parent), str(stored.parent)])
    )
