"""The local stack: Prefect's server, a worker with the deployments, MLflow's UI; all on 127.0.0.1.

`start` writes down every process that it starts, `stop` ends those and no others.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import httpx
import psutil
from pydantic import Field
from pydantic_settings import CliPositionalArg

from flows.cli import DONE, main
from tasks import processes, store
from tasks.champion import UI_ADDRESS, tracking_uri
from tasks.contracts import UserError
from tasks.strict_config import StrictConfig

POOL = "local"
#: What the server does by itself, by the name that stands in the file.
AUTOMATIONS = {
    "crash-zombie-flows": Path(__file__).with_name("zombies.yaml"),
    "cancel-endless-runs": Path(__file__).with_name("endless.yaml"),
}
STARTUP_SECONDS = 120
ENDING_SECONDS = 15
HOST = "127.0.0.1"


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


def started() -> dict[str, str]:
    """Processes of the stack by name, dead ones too."""
    return dict(store.read_json(record())) if record().is_file() else {}


def launch(name: str, command: list[str], environment: dict[str, str]) -> None:
    """Start a program in the background, its output in a log file, and write it down."""
    logs = store.artifacts_root() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    store.write_json(record(), started() | {name: processes.name_of(process.pid)})


def wait_for(name: str, address: str) -> None:
    """Return when an address answers.

    Raises:
        UserError: the program behind it has ended, or it does not answer in time.
    """
    deadline = time.monotonic() + STARTUP_SECONDS
    log = store.artifacts_root() / "logs" / f"{name}.log"
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


def call(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command of Prefect's; its exit code and what it said."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, (done.stderr or done.stdout).strip()


def prefect(*arguments: str, environment: dict[str, str]) -> None:
    """As `call`.

    Raises:
        UserError: the command failed; with what it said.
    """
    code, said = call(arguments, environment)
    if code:
        raise UserError(f"prefect {' '.join(arguments)} failed: {said}")


def start(config: StackConfig) -> None:
    """Bring everything up, one after the other.

    Raises:
        UserError: it runs already, a port is taken, or a program does not come up; what was
            started is ended again.
    """
    if any(processes.living(name) for name in started().values()):
        raise UserError("The stack is up already: `make stop` ends it.")
    record().unlink(missing_ok=True)
    require_free("prefect", config.prefect_port)
    require_free("mlflow", config.mlflow_port)
    try:
        _start(config)
    except UserError:
        stop()
        raise


def _start(config: StackConfig) -> None:
    api = f"http://{HOST}:{config.prefect_port}/api"
    environment = os.environ | {"PREFECT_API_URL": api, "PWD": str(Path.cwd())}
    server = ["prefect", "server", "start", "--host", HOST, "--port", str(config.prefect_port)]
    launch("prefect", server, environment)
    ui = ["mlflow", "ui", "--host", HOST, "--port", str(config.mlflow_port)]
    store.artifacts_root().mkdir(parents=True, exist_ok=True)
    launch("mlflow", [*ui, "--backend-store-uri", tracking_uri()], environment)
    address_file().write_text(f"http://{HOST}:{config.mlflow_port}")
    wait_for("prefect", f"{api}/health")
    pool = ("work-pool", "create", POOL, "--type", "process", "--overwrite")
    prefect(*pool, environment=environment)
    prefect("deploy", "--all", environment=environment)
    for name, file in AUTOMATIONS.items():
        if call(("automation", "inspect", name), environment)[0]:  # not there yet
            prefect("automation", "create", "--from-file", str(file), environment=environment)
    launch("worker", ["prefect", "worker", "start", "--pool", POOL], environment)
    wait_for("mlflow", f"http://{HOST}:{config.mlflow_port}/health")


def stop() -> list[str]:
    """End what `start` started, last first; the names of what still ran."""
    ended = []
    for name, process in reversed(started().items()):
        found = processes.living(process)
        if found:
            ended.append(name)
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
    if config.action == "stop":
        ended = stop()
        print(f"Stopped: {', '.join(ended)}." if ended else "Nothing of the stack was running.")
        return DONE
    print("Starting Prefect, MLflow and a worker …", flush=True)
    start(config)
    print(f"Prefect  http://{HOST}:{config.prefect_port}")
    print(f"MLflow   http://{HOST}:{config.mlflow_port}")
    print(f"Logs     {store.artifacts_root() / 'logs'}")
    print("`make stop` ends them.")
    return DONE


if __name__ == "__main__":
    main(StackConfig, "python -m flows.stack", command)
