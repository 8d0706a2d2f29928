"""The processes of the local stack: started with a record of them, waited for, and ended."""

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
ABORT_SECONDS = 2.5  # the same where a signal ends the start: within `interrupts.RECORD_SECONDS`
#: Variable in the environment of the stack's processes: path of the file that records them.
STACK_VARIABLE = "RECOMMENDER_STACK"
PROCESS_NAMES = TypeAdapter(dict[str, str])


def record_file() -> Path:
    """The file that says which processes were started."""
    return store.artifacts_root() / "stack.json"


def address_file() -> Path:
    """The file that says where MLflow's UI is, for the links of runs."""
    return store.artifacts_root() / UI_ADDRESS


def log_file(name: str) -> Path:
    """Where a program of the stack writes its output."""
    return store.artifacts_root() / "logs" / f"{name}.log"


def recorded_processes() -> dict[str, str]:
    """Processes of the stack by name, dead ones too; none where the record is damaged."""
    try:
        return PROCESS_NAMES.validate_json(record_file().read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def marked_processes() -> list[psutil.Process]:
    """Living processes with the stack's variable in their environment, recorded or not: the record
    may be damaged or deleted, or its writer was killed before it wrote."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or one that has ended
            if process.environ().get(STACK_VARIABLE) == str(record_file()):
                found.append(process)
    return found


def running_processes() -> dict[str, psutil.Process]:
    """Recorded processes of the stack that live, by name, in the order of their start."""
    by_name = {
        name: processes.find_process(process) for name, process in recorded_processes().items()
    }
    return {name: process for name, process in by_name.items() if process}


def launch(name: str, command: list[str], environment: dict[str, str]) -> None:
    """Start a program in the background, its output in a log file, and write it down."""
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
        )
    with atomic_write(record_file(), PRIVATE) as new:
        new.write_text(
            json.dumps(recorded_processes() | {name: processes.process_name(process.pid)}, indent=2)
        )


def wait_for(name: str, is_ready: Callable[[], bool]) -> None:
    """Return when a program of the stack is ready.

    Raises:
        UserError: it has ended, or is not ready in time.
    """
    deadline = time.monotonic() + STARTUP_SECONDS
    log = log_file(name)
    while time.monotonic() < deadline:
        if name not in running_processes():
            raise UserError(f"{name} has ended; why is in {log}.")
        if is_ready():
            return
        time.sleep(0.5)
    raise UserError(f"{name} was not ready within {STARTUP_SECONDS} s; its log is {log}.")


def stop() -> list[str]:
    """End what `start` started, last first; the names of what still ran."""
    ended = list[str]()
    for name, process in reversed(running_processes().items()):
        _end([process], ENDING_SECONDS)
        ended.append(name)
    unrecorded = marked_processes()
    _end(unrecorded, ENDING_SECONDS)
    _forget()
    return [*ended, *(f"process {process.pid}" for process in unrecorded)]


def abort(reason: str) -> None:
    """End everything at once: a signal ends the start, within seconds."""
    _end(marked_processes(), ABORT_SECONDS)
    _forget()


def _end(family: Sequence[psutil.Process], limit_seconds: float) -> None:
    # SIGINT is what a worker and the server take as the end of their work.
    processes.end_trees(family, signal.SIGINT, limit_seconds)


def _forget() -> None:
    record_file().unlink(missing_ok=True)
    address_file().unlink(missing_ok=True)
