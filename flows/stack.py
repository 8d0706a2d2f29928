"""The local stack: Prefect's server, a worker with the deployments, MLflow's UI; all on 127.0.0.1.

`start` writes down every process that it starts, `stop` ends those and no others.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import httpx
import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_settings import CliPositionalArg

from flows.cli import DONE, main
from flows.stack_access import access_file, server_protection, write_access, write_private
from flows.stack_schedules import wait_for_schedules
from tasks import processes, store
from tasks.champion import UI_ADDRESS
from tasks.contracts import UserError
from tasks.locks import locked
from tasks.registry import tracking_uri
from tasks.strict_config import StrictConfig

POOL = "local"
#: What the server does by itself, by the name that stands in the file.
AUTOMATIONS = {
    "crash-zombie-flows": Path(__file__).with_name("zombies.yaml"),
    "cancel-endless-runs": Path(__file__).with_name("endless.yaml"),
}
STARTUP_SECONDS = 120
ENDING_SECONDS = 15
BUSY_SECONDS = 300  # what another `make serve` or `make stop` may take
HOST = "127.0.0.1"
MARK = "RECOMMENDER_STACK"  # variable in the environment of the stack's processes: their record
Record = TypeAdapter(dict[str, Annotated[str, Field(pattern=r"^\d+ ")]])


class StackConfig(StrictConfig):
    """The local stack."""

    action: CliPositionalArg[Literal["start", "stop"]] = Field(description="start it, or stop it")
    prefect_port: int = Field(4200, ge=1, le=65535, description="Port of Prefect's server and UI")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="Port of MLflow's UI")


def record() -> Path:
    """The file that says which processes were started."""
    return store.artifacts_root() / "stack.json"


def address_file() -> Path:
    """The file that says where MLflow's UI is, for the links of runs."""
    return store.artifacts_root() / UI_ADDRESS


def log_file(name: str) -> Path:
    """Where a program of the stack writes its output."""
    return store.artifacts_root() / "logs" / f"{name}.log"


def started() -> dict[str, str]:
    """Processes of the stack by name, dead ones too."""
    try:
        return Record.validate_json(record().read_bytes())
    except (FileNotFoundError, ValidationError):
        return marked()


def marked() -> dict[str, str]:
    """Living processes that the stack started, where the record is damaged or was deleted."""
    processes_by_name = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or one that has ended
            if process.environ().get(MARK) == str(record()):
                name = f"process {process.pid}"
                processes_by_name[name] = processes.name_of(process.pid)
    return processes_by_name


def launch(name: str, command: list[str], environment: dict[str, str]) -> None:
    """Start a program in the background, its output in a log file, and write it down."""
    earlier = started()
    log_file(name).parent.mkdir(parents=True, exist_ok=True)
    with log_file(name).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment | {MARK: str(record())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    processes_by_name = earlier | {name: processes.name_of(process.pid)}
    write_private(record(), json.dumps(processes_by_name, indent=2))


def wait_for(name: str, address: str) -> None:
    """Return when an address answers.

    Raises:
        UserError: the program behind it has ended, or it does not answer in time.
    """
    deadline = time.monotonic() + STARTUP_SECONDS
    log = log_file(name)
    while time.monotonic() < deadline:
        if processes.living(started()[name]) is None:
            raise UserError(f"{name} has ended; why is in {log}.")
        with suppress(httpx.TransportError):  # it is not up yet
            if httpx.get(address, timeout=2).is_success:
                return
        time.sleep(0.5)
    raise UserError(f"{name} does not answer at {address}; its log is {log}.")


def require_free(name: str, port: int) -> None:
    """Raises UserError if something else listens on a port already."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            raise UserError(
                f"Port {port} is taken: give {name} another with --{name}_port."
            ) from None


def prefect(*arguments: str, environment: dict[str, str]) -> None:
    """Run a command of Prefect's.

    Raises:
        UserError: the command failed; with its output.
    """
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip()
        raise UserError(f"prefect {' '.join(arguments)} failed: {output}")


@contextmanager
def stack_client(access: dict[str, str]) -> Iterator[SyncPrefectClient]:
    """A client of the stack's Prefect server."""
    settings = {
        setting: access[setting.name] for setting in (PREFECT_API_URL, PREFECT_API_AUTH_STRING)
    }
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


def remote_mlflow() -> str | None:
    """Address of the MLflow server that `MLFLOW_TRACKING_URI` names, without its password: such a
    server has its own UI. None where MLflow's records are in a database."""
    uri = urlsplit(tracking_uri())
    if uri.scheme not in ("http", "https"):
        return None
    return f"{uri.scheme}://{uri.netloc.rpartition('@')[2]}{uri.path}"


def start(config: StackConfig) -> None:
    """Bring everything up, one after the other.

    Raises:
        UserError: it runs already, a port is taken, a program does not come up, or no run of an
            active schedule is created; what was started is ended again.
    """
    if any(processes.living(name) for name in started().values()):
        raise UserError("The stack is up already: `make stop` ends it.")
    record().unlink(missing_ok=True)
    require_free("prefect", config.prefect_port)
    if not remote_mlflow():
        require_free("mlflow", config.mlflow_port)
    try:
        _start(config)
    except BaseException:  # an interrupt too
        stop()
        raise


def _start(config: StackConfig) -> None:
    api = f"http://{HOST}:{config.prefect_port}/api"
    access = write_access(api)
    environment = os.environ | access | {"PWD": str(Path.cwd())}
    server = ["prefect", "server", "start", "--host", HOST, "--port", str(config.prefect_port)]
    password = access[PREFECT_API_AUTH_STRING.name]
    launch("prefect", server, environment | server_protection(config.prefect_port, password))
    if not remote_mlflow():
        start_mlflow(config.mlflow_port)
    wait_for("prefect", f"{api}/health")
    with stack_client(access) as client:
        prepare(client, environment)
        launch("worker", ["prefect", "worker", "start", "--pool", POOL], environment)
        wait_for_schedules(client, POOL, log_file("prefect"))
    if not remote_mlflow():
        wait_for("mlflow", f"http://{HOST}:{config.mlflow_port}/health")


def start_mlflow(port: int) -> None:
    """Start MLflow's UI; its database's address may hold a password, so no argument names it."""
    ui = ["mlflow", "ui", "--host", HOST, "--port", str(port)]
    launch("mlflow", ui, os.environ | {"MLFLOW_BACKEND_STORE_URI": tracking_uri()})
    address_file().write_text(f"http://{HOST}:{port}")


def prepare(client: SyncPrefectClient, environment: dict[str, str]) -> None:
    """Register the deployments, and make the work pool and the automations that are missing.

    What is there stays: people put settings of their jobs into the pool's template.
    """
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        prefect("work-pool", "create", POOL, "--type", "process", environment=environment)
    prefect("deploy", "--all", environment=environment)
    for name, file in AUTOMATIONS.items():
        if not client.read_automations_by_name(name):
            prefect("automation", "create", "--from-file", str(file), environment=environment)


def stop() -> list[str]:
    """End what `start` started, last first; the names of what still ran."""
    ended = []
    for name, process in reversed(started().items()):
        found = processes.living(process)
        if found:
            ended.append(name)
            with suppress(psutil.NoSuchProcess):  # it has ended with another one
                end(found)
    record().unlink(missing_ok=True)
    address_file().unlink(missing_ok=True)
    return ended


def end(process: psutil.Process) -> None:
    """Ask a process and its descendants to end; kill those that do not."""
    family = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGINT)  # what a worker and the server take as the end of their work
    _, left = psutil.wait_procs(family, timeout=ENDING_SECONDS)
    for one in left:
        one.kill()
    psutil.wait_procs(left, timeout=ENDING_SECONDS)


def command(config: StackConfig) -> int:
    """From the terminal."""
    with locked(store.artifacts_root() / "stack.lock", f"{config.action} the stack", BUSY_SECONDS):
        if config.action == "stop":
            ended = stop()
            print(f"Stopped: {', '.join(ended)}." if ended else "Nothing of the stack was running.")
            return DONE
        print("Starting Prefect, MLflow and a worker …", flush=True)
        start(config)
    print(f"Prefect  http://{HOST}:{config.prefect_port}")
    print(f"         password: PREFECT_API_AUTH_STRING in {access_file()}")
    print(f"MLflow   {remote_mlflow() or f'http://{HOST}:{config.mlflow_port}'}")
    print(f"Logs     {log_file('prefect').parent}")
    print("`make stop` ends them.")
    return DONE


if __name__ == "__main__":
    main(StackConfig, "python -m flows.stack", command)
