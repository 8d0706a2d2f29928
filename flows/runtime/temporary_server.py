"""A Prefect server for a single run: on a free port of this machine, ended with the run.

Prefect's built-in temporary server keeps running after its run was killed, and ends before the run
when a terminal interrupts them together. This server watches its parent, in a separate group.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from prefect.settings import get_current_settings
from pydantic import BaseModel, ValidationError

from flows.runtime.listener import HOST, loopback_listener
from flows.runtime.queued_records import send_queued_records
from flows.runtime.temporary_app import PARENT
from tasks.core import processes
from tasks.core.contracts import UserError
from tasks.core.files import atomic_write
from tasks.core.heartbeat import heartbeat, is_watched, write_to_stderr
from tasks.core.storage import store

STARTUP_SECONDS = 180
STARTING = "Starting a Prefect server for this run"
SENDING_SECONDS = 20  # a busy machine takes some; this server is there for the run alone
ENDING_SECONDS = 5


class ServerRecord(BaseModel):
    """Record of a temporary server: names of its process and of the run's process, and the host."""

    server: str
    owner: str
    host: str


@contextmanager
def temporary_server(meanwhile: Callable[[], object]) -> Iterator[str]:
    """Start a server, call `meanwhile`, yield the address of the API; it ends with the context.

    Raises:
        UserError: the server ended at once, or did not respond in time.
    """
    with loopback_listener() as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        process = _start(listener.fileno(), address)
    record = _record_of(process)
    try:
        if is_watched():
            write_to_stderr(f"{STARTING} …")
        with heartbeat(lambda: STARTING, write_to_stderr):
            meanwhile()
            _wait_for(address, process)
        try:
            yield f"{address}/api"
        finally:
            send_queued_records(SENDING_SECONDS)
    finally:
        if process.poll() is None:
            server = psutil.Process(process.pid)
            processes.end_trees([server], signal.SIGTERM, ENDING_SECONDS)
        process.wait()
        record.unlink(missing_ok=True)


def end_orphaned_servers() -> None:
    """End the servers of this machine whose runs were killed."""
    for record in _records().glob("*.json"):
        try:
            server = ServerRecord.model_validate_json(record.read_bytes())
        except (ValidationError, OSError):  # damaged, or deleted by its run
            record.unlink(missing_ok=True)
            continue
        if server.host != socket.gethostname() or processes.find_process(server.owner):
            continue
        if process := processes.find_process(server.server):
            processes.end_trees([process], signal.SIGTERM, ENDING_SECONDS)
        record.unlink(missing_ok=True)


def _records() -> Path:
    return store.artifacts_root() / "temporary-servers"


def _log() -> Path:
    return store.artifacts_root() / "logs" / "prefect-temporary.log"


def _start(listener: int, address: str) -> "subprocess.Popen[bytes]":
    environment = (
        os.environ
        | get_current_settings().to_environment_variables(exclude_unset=True)
        | {
            PARENT: str(os.getpid()),
            "PREFECT_UI_ENABLED": "0",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address,
        }
    )
    source = str(Path(__file__).parents[2])
    factory = ["--factory", "flows.runtime.temporary_app:app", "--app-dir", source]
    options = ["--fd", str(listener), "--log-level", "error", "--lifespan", "on"]
    _log().parent.mkdir(parents=True, exist_ok=True)
    with _log().open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *factory, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener],
            process_group=0,  # Ctrl+C in a terminal must not end it before the run
        )


def _record_of(process: "subprocess.Popen[bytes]") -> Path:
    """Record the server and its owner, so that the next run can end it."""
    path = _records() / f"{process.pid}.json"
    record = ServerRecord(
        server=processes.process_name(process.pid),
        owner=processes.process_name(),
        host=socket.gethostname(),
    )
    with atomic_write(path) as new:
        new.write_text(record.model_dump_json())
    return path


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UserError(f"Prefect's temporary server has ended; the reason is in {_log()}.")
        with suppress(httpx.TransportError):  # it accepts connections, but does not respond yet
            if httpx.get(f"{address}/api/health", timeout=5, trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise UserError(
        f"Prefect's temporary server did not respond within {STARTUP_SECONDS} s (log: {_log()}). "
        "Run the same command again when this machine has less load."
    )
