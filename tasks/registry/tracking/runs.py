"""A flow run -> its MLflow run: parameters, tags, system metrics, and its status at the end."""

import platform
import socket
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import mlflow
from mlflow.entities import Param, Run
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from prefect.runtime import flow_run

from tasks.core.contracts import RunRef
from tasks.core.redaction import redacted
from tasks.core.storage import store
from tasks.core.storage.run_locks import hold_run_lock, is_running, release_run_lock
from tasks.registry.aliases import versions_by_alias
from tasks.registry.champion import require_champion_of_this_root
from tasks.registry.gate import VERSION
from tasks.registry.model_registry import (
    CHAMPION,
    FLOW_RUN_TAG,
    require_intact_database,
    tracking_uri,
)
from tasks.registry.tracking.experiment_page import describe_experiment
from tasks.registry.tracking.length_limits import PARAM_LENGTH, TAG_LENGTH, shorten
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.relocation import update_moved_paths
from tasks.registry.tracking.run_origin import origin_tags

SECONDS_BETWEEN_SAMPLES = 5  # of CPU, memory, disk and network
HOST_TAG = "host"
REPORT = "report.html"  # among the files of a run
#: A run of another root or release, whose lock is not here, is taken for dead at this age. A flow
#: run is cancelled after a day, and a clock may be wrong.
DEAD_SECONDS = 4 * 24 * 3600.0
PACKAGES = ("prefect", "mlflow", "gensim", "torch", "scikit-learn", "lancedb", "pandas", "pyarrow")


def open_run(settings: dict[str, Any], tags: dict[str, str]) -> RunRef:
    """Start the MLflow run of the current flow run; later failures are recorded in it.

    Raises:
        RegistryError: the server does not answer, or the database is damaged.
        UserError: the champion was published from another artifacts root, or this one was moved
            while a run is writing to it.
    """
    require_intact_database()
    client = connect()
    experiment = experiment_id(client)
    require_champion_of_this_root()
    describe_experiment(client, experiment)
    store.create_root_id()
    close_dead_runs(client, experiment)
    hold_run_lock(str(flow_run.id))
    update_moved_paths(client)  # again: the root may have two paths, one in a container
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
    """Tags of a new run: the caller's, library versions, origin and flow run; no passwords."""
    origin = {HOST_TAG: socket.gethostname(), FLOW_RUN_TAG: str(flow_run.id)}
    origin |= origin_tags(str(flow_run.flow_name))
    all_tags = environment_tags() | dict(tags) | origin
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


def close_dead_runs(client: mlflow.MlflowClient, experiment: str) -> None:
    """Set the status of runs to KILLED whose process no longer exists."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if FLOW_RUN_TAG in run.data.tags and _is_dead(run):
            client.set_terminated(run.info.run_id, "KILLED")


def _is_dead(run: Run) -> bool:
    running = is_running(run.data.tags[FLOW_RUN_TAG])
    if running is None:
        return bool(time.time() - run.info.start_time / 1000 > DEAD_SECONDS)
    return not running


def fail_run(flow_run_id: str, status: str = "FAILED") -> None:
    """Set the status of the unfinished MLflow runs of a flow run, whose lock is released.

    Does nothing while another process runs it, which a retry of a run that lives would disturb.
    """
    release_run_lock(flow_run_id)
    if is_running(flow_run_id):
        return
    client = connect()
    query = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id(client)], query):
        client.set_terminated(run.info.run_id, status)


def publication_of(flow_run_id: str) -> str:
    """The version that a flow run has registered, and what is missing; empty if there is none."""
    client = connect()
    query = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}'"
    for run in client.search_runs([experiment_id(client)], query):
        for registered in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
            number, aliases = str(registered.version), versions_by_alias(client)
            files = {file.path for file in client.list_artifacts(run.info.run_id)}
            return publication_text(number, aliases.get(CHAMPION) == number, REPORT in files)
    return ""


def publication_text(version: str, is_champion: bool, has_report: bool = False) -> str:
    """A sentence about a version whose run did not end well."""
    role = "is the champion" if is_champion else "was registered and is not the champion"
    return f"Version {version} {role}{'' if has_report else ', but its report is missing'}."


def promotion_of(flow_run_id: str) -> str:
    """The version that a flow run made the champion, and why; empty if it made none."""
    client = connect()
    query = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}' AND tags.promoted = 'true'"
    runs = client.search_runs([experiment_id(client)], query, max_results=1)
    for tags in (run.data.tags for run in runs):
        return f"Version {tags[VERSION]} is the champion: {tags['promoted.why']}."
    return ""
