"""The processes of the local stack: start and record, wait until ready, stop."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from flows.runtime import interrupts
from tasks.core import processes
from tasks.core.contracts import UserError
from tasks.core.files import PRIVATE, atomic_write
from tasks.core.storage import store
from tasks.registry.champion import UI_ADDRESS

STARTUP_SECONDS = 120
ENDING_SECONDS = 15
ABORT_SECONDS = 2.5  # after a signal during the start; less than `interrupts.RECORD_SECONDS`
#: Environment variable of the stack's processes: path of the file that records them.
STACK_VARIABLE = "RECOMMENDER_STACK"
PROCESS_NAMES = TypeAdapter(dict[str, str])


def record_file() -> Path:
    """Path of the file with the started processes, by name."""
    return store.artifacts_root() / "stack.json"


def address_file() -> Path:
    """Path of the file with the address of MLflow's UI, for links to runs."""
    return store.artifacts_root() / UI_ADDRESS


def log_file(name: str) -> Path:
    """Path of the log of a program of the stack."""
    return store.artifacts_root() / "logs" / f"{name}.log"


def recorded_processes() -> dict[str, str]:
    """Recorded processes by name, ended ones included; empty if the record is damaged."""
    try:
        return PROCESS_NAMES.validate_json(record_file().read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def marked_processes() -> list[psutil.Process]:
    """Running processes with the stack's variable in their environment.

    They may be missing in the record: it may be damaged or deleted, or its writer was killed.
    """
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # a process of another user, or an ended one
            if process.environ().get(STACK_VARIABLE) == str(record_file()):
                marked.append(process)
    return marked


def running_processes() -> dict[str, psutil.Process]:
    """Recorded processes that are still running, by name, in the order of their start."""
    by_name = {
        name: processes.find_process(process) for name, process in recorded_processes().items()
    }
    return {name: process for name, process in by_name.items() if process}


def launch(name: str, command: list[str], environment: dict[str, str]) -> None:
    """Start a program in the background, log its output, and record its process."""
    interrupts.hold_if_ending()
    log_file(name).parent.mkdir(parents=True, exist_ok=True)
    with log_file(name).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment | {STACK_VARIABLE: str(record_file())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    with atomic_write(record_file(), PRIVATE) as new:
        new.write_text(
            json.dumps(recorded_processes() | {name: processes.process_name(process.pid)}, indent=2)
        )


def heed_interrupts() -> None:
    """Let this process end at SIGINT: one that `&` or `nohup` started inherits that it is ignored.

    Prefect's worker would then heed no signal at all, and be killed at the end of its grace time.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(name: str, is_ready: Callable[[], bool]) -> None:
    """Wait until a program of the stack is ready.

    Raises:
        UserError: the program has ended, or is not ready within `STARTUP_SECONDS`.
    """
    deadline = time.monotonic() + STARTUP_SECONDS
    log = log_file(name)
    while time.monotonic() < deadline:
        if name not in running_processes():
            raise UserError(f"{name} has ended; the reason is in {log}.")
        if is_ready():
            return
        time.sleep(0.5)
    raise UserError(f"{name} was not ready within {STARTUP_SECONDS} s; its log is {log}.")


def stop() -> list[str]:
    """End the processes of the stack, the last first; returns the names of those that ran."""
    stopped = list[str]()
    for name, process in reversed(running_processes().items()):
        _end([process], ENDING_SECONDS)
        stopped.append(name)
    unrecorded = marked_processes()
    _end(unrecorded, ENDING_SECONDS)
    _delete_records()
    return [*stopped, *(f"process {process.pid}" for process in unrecorded)]


def abort(reason: str) -> None:
    """End all processes at once, because a signal ended the start of the stack."""
    _end(marked_processes(), ABORT_SECONDS)
    _delete_records()


def _end(roots: Sequence[psutil.Process], limit_seconds: float) -> None:
    # The worker and the server shut down on SIGINT.
    processes.end_trees(roots, signal.SIGINT, limit_seconds)


def _delete_records() -> None:
    record_file().unlink(missing_ok=True)
    address_file().unlink(missing_ok=True)
