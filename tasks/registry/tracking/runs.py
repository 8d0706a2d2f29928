"""A flow run -> its MLflow run: opened with parameters and tags, closed when it fails or dies."""

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
from tasks.registry.model_registry import require_sound_database, tracking_uri
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
    """Start the MLflow run of this flow run, so that a run which fails is tracked too."""
    require_sound_database()
    client = connect()
    experiment = experiment_id(client)
    require_experiment_of_this_root(client, experiment)
    close_dead_runs(client, experiment)
    all_tags = environment_tags() | tags | own_process() | {FLOW_RUN_TAG: str(flow_run.id)}
    known_tags = {name: shorten(redacted(value), TAG_LENGTH) for name, value in all_tags.items()}
    # Created with its tags: a run that is killed at once must still be known for a dead one.
    run = client.create_run(experiment, run_name=str(flow_run.name), tags=known_tags)
    params = [
        Param(name, shorten(redacted(value), PARAM_LENGTH))
        for name, value in flatten_settings(settings).items()
    ]
    client.log_batch(run.info.run_id, params=params)
    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run.info.run_id, SECONDS_BETWEEN_SAMPLES, tracking_uri=tracking_uri()
    )
    monitor.start()  # it ends by itself when the run does
    shown_uri = redacted(mlflow.get_tracking_uri())
    return RunRef(run_id=run.info.run_id, experiment_id=experiment, tracking_uri=shown_uri)


def flatten_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and texts, as MLflow keeps parameters."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flatten_settings(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value)
    return found


def environment_tags() -> dict[str, str]:
    """Versions that a result may depend on."""
    return {"python": platform.python_version()} | {
        f"version.{name}": version(name) for name in PACKAGES
    }


def own_process() -> dict[str, str]:
    """Tags that name this process beyond doubt."""
    return {PROCESS_TAG: processes.process_name(), HOST_TAG: socket.gethostname()}


def close_dead_runs(client: mlflow.MlflowClient, experiment: str) -> None:
    """Mark as killed what processes of this machine left running in MLflow when they died."""
    here = f"tags.`{HOST_TAG}` = '{socket.gethostname()}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], here):
        if processes.find_process(run.data.tags[PROCESS_TAG]) is None:
            client.set_terminated(run.info.run_id, "KILLED")


def fail_run(flow_run_id: str, status: str = "FAILED") -> None:
    """Close the unfinished MLflow runs of a flow run that did not complete."""
    client = connect()
    query = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id(client)], query):
        client.set_terminated(run.info.run_id, status)
