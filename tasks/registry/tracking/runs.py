"""A flow run -> its MLflow run: parameters, tags, system metrics, and its status at the end."""

import platform
import socket
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import mlflow
from mlflow.entities import Param
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from tasks.core import processes
from tasks.core.contracts import RunRef
from tasks.core.redaction import redacted
from tasks.registry.model_registry import require_intact_database, tracking_uri
from tasks.registry.tracking.length_limits import PARAM_LENGTH, TAG_LENGTH, shorten
from tasks.registry.tracking.mlflow_client import (
    connect,
    experiment_id,
    require_experiment_of_this_root,
)

SECONDS_BETWEEN_SAMPLES = 5  # of CPU, memory, disk and network
FLOW_RUN_TAG = "prefect.flow_run_id"
PROCESS_TAG, HOST_TAG = "process", "host"
PACKAGES = ("prefect", "mlflow", "gensim", "torch", "scikit-learn", "lancedb", "pandas", "pyarrow")


@task(name="open-run", cache_policy=NO_CACHE)
def open_run(settings: dict[str, Any], tags: dict[str, str]) -> RunRef:
    """Start the MLflow run of the current flow run; later failures are recorded in it.

    Raises:
        RegistryError: the server does not answer, or the database is damaged.
        UserError: the artifacts root was moved or copied, so that MLflow would write elsewhere.
    """
    require_intact_database()
    client = connect()
    experiment = experiment_id(client)
    require_experiment_of_this_root(client, experiment)
    close_dead_runs(client, experiment)
    # Created together with its tags: they identify a run whose process is killed right after.
    run = client.create_run(experiment, run_name=str(flow_run.name), tags=run_tags(tags))
    client.log_batch(run.info.run_id, params=run_params(settings))
    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run.info.run_id, SECONDS_BETWEEN_SAMPLES, tracking_uri=tracking_uri()
    )
    monitor.start()  # stops by itself at the end of the run
    public_uri = redacted(mlflow.get_tracking_uri())
    return RunRef(run_id=run.info.run_id, experiment_id=experiment, tracking_uri=public_uri)


def run_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a new run: the caller's, library versions, process and flow run; no passwords."""
    all_tags = environment_tags() | dict(tags) | process_tags() | {FLOW_RUN_TAG: str(flow_run.id)}
    return {name: shorten(redacted(value), TAG_LENGTH) for name, value in all_tags.items()}


def run_params(settings: Mapping[str, Any]) -> list[Param]:
    """Nested settings as MLflow parameters with dotted names; no passwords."""
    return [
        Param(name, shorten(redacted(value), PARAM_LENGTH))
        for name, value in flatten_settings(settings).items()
    ]


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as texts by dotted name."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten_settings(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


def environment_tags() -> dict[str, str]:
    """Versions of Python and of the libraries that may affect results."""
    versions = {f"version.{name}": version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | versions


def process_tags() -> dict[str, str]:
    """Tags that identify this process: host, process number and start time."""
    return {PROCESS_TAG: processes.process_name(), HOST_TAG: socket.gethostname()}


def close_dead_runs(client: mlflow.MlflowClient, experiment: str) -> None:
    """Set the status of runs to KILLED whose process on this machine no longer exists."""
    query = f"tags.`{HOST_TAG}` = '{socket.gethostname()}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], query):
        if processes.find_process(run.data.tags[PROCESS_TAG]) is None:
            client.set_terminated(run.info.run_id, "KILLED")


def fail_run(flow_run_id: str, status: str = "FAILED") -> None:
    """Set the status of the unfinished MLflow runs of a flow run."""
    client = connect()
    query = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id(client)], query):
        client.set_terminated(run.info.run_id, status)
