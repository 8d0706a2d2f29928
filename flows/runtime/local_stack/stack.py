"""The local stack on 127.0.0.1: Prefect's server, a worker, the deployments and MLflow's UI.

`start` starts them under supervisord, which starts a program again that has ended; `stop` ends them
and no others.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkerStatus
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker
from pydantic import Field

from flows.runtime import interrupts
from flows.runtime.listener import HOST
from flows.runtime.local_stack.access import (
    bypass_proxy,
    server_protection,
    write_access,
)
from flows.runtime.local_stack.processes import (
    abort,
    address_file,
    announced,
    launch,
    log_file,
    marked_processes,
    record_file,
    start_supervisor,
    stop,
    supervisor_process,
    wait_for,
)
from flows.runtime.local_stack.schedules import wait_for_schedules
from flows.runtime.local_stack.worker import POOL
from tasks.core.contracts import UserError
from tasks.core.strict_config import StrictConfig
from tasks.registry.model_registry import is_root_database, tracking_uri
from tasks.registry.tracking.experiment_page import describe_experiment, view_page
from tasks.registry.tracking.mlflow_client import connect, experiment_id

#: Current names of the deployments that earlier releases registered under other names.
RENAMED_DEPLOYMENTS = {
    "train/train": "train/on-demand",
    "train/train-weekly": "train/weekly",
    "refresh/refresh-daily": "refresh/daily",
    "batch/recommend-batch": "batch/on-demand",
    "release/release": "release/on-demand",
}
#: Files of Prefect's automations, by the name in the file.
AUTOMATIONS = {
    "crash-zombie-flows": Path(__file__).parent / "automations" / "zombies.yaml",
    "cancel-endless-runs": Path(__file__).parent / "automations" / "endless.yaml",
}
#: Instead of MLflow's defaults: four servers, and seven processes for jobs of language models.
MLFLOW_UI = {"MLFLOW_WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class StackPorts(StrictConfig):
    """Start the local stack: Prefect with a worker and the deployments, and MLflow."""

    prefect_port: int = Field(4200, ge=1, le=65535, description="Port of Prefect's server and UI")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="Port of MLflow's UI")


def is_responding(address: str) -> bool:
    """Whether a server on this machine responds; no proxy is used."""
    try:
        return httpx.get(address, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def has_worker(client: SyncPrefectClient, since: datetime) -> bool:
    """Whether a worker of the pool has sent a heartbeat to the server since then."""
    return any(
        worker.status == WorkerStatus.ONLINE
        and worker.last_heartbeat_time
        and worker.last_heartbeat_time >= since
        for worker in client.read_workers_for_work_pool(POOL)
    )


def require_free(name: str, port: int) -> None:
    """Check that no process listens on a port.

    Raises:
        UserError: the port is taken.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            raise UserError(
                f"Port {port} is taken: give {name} another with --{name}-port."
            ) from None


def deploy(environment: dict[str, str]) -> None:
    """Register the deployments of `prefect.yaml`.

    Raises:
        UserError: Prefect refused them; the message contains its output.
    """
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        output = (result.stderr or result.stdout).strip()
        raise UserError(f"prefect deploy --all failed: {output}")


@contextmanager
def stack_client(access: dict[str, str]) -> Iterator[SyncPrefectClient]:
    """A client of the stack's Prefect server."""
    settings = {
        setting: access[setting.name] for setting in (PREFECT_API_URL, PREFECT_API_AUTH_STRING)
    }
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


def remote_mlflow() -> str | None:
    """Address of the MLflow server in `MLFLOW_TRACKING_URI`, without its password.

    None if MLflow uses a database; only a server has its own UI.
    """
    uri = urlsplit(tracking_uri())
    if uri.scheme not in ("http", "https"):
        return None
    return f"{uri.scheme}://{uri.netloc.rpartition('@')[2]}{uri.path}"


def mlflow_page(config: StackPorts) -> str:
    """Address of the runs in MLflow; there is an experiment for them from the start.

    Without the page in it, MLflow would open for agents, where no run is shown.
    """
    if server := remote_mlflow():
        return server
    client = connect()
    experiment = experiment_id(client)
    describe_experiment(client, experiment)
    return view_page(f"http://{HOST}:{config.mlflow_port}", experiment)


def start(config: StackPorts) -> None:
    """Start Prefect, MLflow and the worker, and wait until they are ready.

    Raises:
        UserError: the stack is already running, a port is taken, a program does not start, or
            Prefect schedules no run; all started processes are stopped first.
    """
    if supervisor_process() or marked_processes():
        raise UserError("The stack is already running: `make stop` ends it.")
    record_file().unlink(missing_ok=True)
    require_free("prefect", config.prefect_port)
    if not remote_mlflow():
        require_free("mlflow", config.mlflow_port)
    interrupts.record_with(abort, advice="")
    try:
        _start(config)
    except BaseException:
        interrupts.hold_if_ending()  # `abort` ends the started processes
        stop()
        raise
    finally:
        interrupts.record_with(None)


def _start(config: StackPorts) -> None:
    bypass_proxy()
    api = f"http://{HOST}:{config.prefect_port}/api"
    access = write_access(api)
    environment = os.environ | access | {"PWD": str(Path.cwd())}
    start_supervisor(
        environment | server_settings(config, access),
        ports={"prefect": config.prefect_port, "mlflow": config.mlflow_port},
    )
    launch("prefect")
    if not remote_mlflow():
        start_mlflow(config.mlflow_port)
    wait_for("prefect", lambda: is_responding(f"{api}/health"))
    with stack_client(access) as client:
        with announced("Registering the deployments"):
            prepare(client, environment)
        launched = datetime.now(UTC)
        launch("worker")
        with announced("Waiting for Prefect's scheduler"):
            wait_for_schedules(client, POOL, log_file("prefect"))
        wait_for("worker", lambda: has_worker(client, launched))
    if not remote_mlflow():
        wait_for("mlflow", lambda: is_responding(f"http://{HOST}:{config.mlflow_port}/health"))


def server_settings(config: StackPorts, access: dict[str, str]) -> dict[str, str]:
    """Environment variables of the two servers.

    MLflow's database is named in one because its address may contain a password.
    """
    password = access[PREFECT_API_AUTH_STRING.name]
    settings = {name: os.environ.get(name, default) for name, default in MLFLOW_UI.items()}
    settings |= {"MLFLOW_BACKEND_STORE_URI": tracking_uri()}
    return settings | server_protection(config.prefect_port, password)


def start_mlflow(port: int) -> None:
    """Start MLflow's UI."""
    if is_root_database():
        with announced("Preparing MLflow's database"):
            connect()  # replaces the paths of a root that was moved
    launch("mlflow")
    address_file().write_text(f"http://{HOST}:{port}")


def prepare(client: SyncPrefectClient, environment: dict[str, str]) -> None:
    """Register the deployments; create the work pool and the automations that are missing.

    An existing pool is not changed: its template may contain settings of the users' jobs.
    """
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        create_pool(client)
    deploy(environment)
    delete_renamed_deployments(client)
    for name, file in AUTOMATIONS.items():
        if not client.read_automations_by_name(name):
            automation = AutomationCore.model_validate(yaml.safe_load(file.read_text()))
            client.create_automation(automation)


def create_pool(client: SyncPrefectClient) -> None:
    """Create the work pool with Prefect's own settings for jobs in local processes."""
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)
    client.create_work_pool(pool)


def delete_renamed_deployments(client: SyncPrefectClient) -> None:
    """Delete the deployments of an earlier release: their schedules would start every run twice."""
    for earlier, current in RENAMED_DEPLOYMENTS.items():
        try:
            deployment = client.read_deployment_by_name(earlier)
        except ObjectNotFound:
            continue
        client.delete_deployment(deployment.id)
        print(f"Deployment {earlier} was replaced by {current}.")
