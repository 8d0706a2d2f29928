"""The programs of the local stack under supervisord: start, observe, stop.

supervisord (`supervisord.conf`) starts a program again that has ended, and rotates the logs.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, ServerProxy

import psutil
from pydantic import BaseModel, ValidationError
from supervisor.xmlrpc import SupervisorTransport

from flows.runtime import interrupts
from tasks.core import processes
from tasks.core.contracts import UserError
from tasks.core.files import PRIVATE, atomic_write
from tasks.core.heartbeat import heartbeat, write_to_stderr
from tasks.core.storage import store
from tasks.registry.champion import UI_ADDRESS

CONFIGURATION = Path(__file__).parent / "supervisord.conf"
STARTUP_SECONDS = 120
ENDING_SECONDS = 15
PROGRAMS_ENDING_SECONDS = 4 * ENDING_SECONDS  # supervisord gives each of three programs 15 s
ABORT_SECONDS = 2.5  # after a signal during the start; less than `interrupts.RECORD_SECONDS`
#: Environment variable of the stack's processes: path of the file that records them.
STACK_VARIABLE = "RECOMMENDER_STACK"
PROGRAM_VARIABLE = "SUPERVISOR_PROCESS_NAME"  # of supervisord
START_ORDER = {"prefect": 1, "mlflow": 2, "worker": 3}
RUNNING_STATES = ("STARTING", "RUNNING")


class SupervisorRecord(BaseModel):
    """The running supervisord: its process, and the folder with its socket."""

    process: str
    folder: Path


@dataclass(frozen=True)
class Program:
    """A program of the stack that was started; `ended_before` is None if it never ended."""

    name: str
    pid: int
    state: str
    since: datetime
    ended_before: datetime | None

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.state in RUNNING_STATES


def record_file() -> Path:
    """Path of the file with the `SupervisorRecord`."""
    return store.artifacts_root() / "stack.json"


def address_file() -> Path:
    """Path of the file with the address of MLflow's UI, for links to runs."""
    return store.artifacts_root() / UI_ADDRESS


def log_file(name: str) -> Path:
    """Path of the log of a program of the stack."""
    return store.artifacts_root() / "logs" / f"{name}.log"


def start_supervisor(environment: dict[str, str], ports: dict[str, int]) -> None:
    """Start supervisord in the background, record it, and wait until it answers.

    Args:
        environment: of all programs
        ports: of Prefect's and MLflow's server, by program

    Raises:
        UserError: it ends, or does not answer within `STARTUP_SECONDS`.
    """
    interrupts.hold_if_ending()
    log = log_file("supervisor")
    log.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="recommender-"))
    (folder / "logs").symlink_to(log.parent)
    variables = {f"STACK_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    variables |= {"STACK_FOLDER": str(folder), STACK_VARIABLE: str(record_file())}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)],
            env=environment | variables | python_first(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    record = {"process": processes.process_name(process.pid), "folder": str(folder)}
    with atomic_write(record_file(), PRIVATE) as new:
        new.write_text(json.dumps(record, indent=2))
    _wait("supervisor", lambda: supervisor_process() is not None, _is_answering)


def heed_interrupts() -> None:
    """Let this process end at SIGINT: one that `&` or `nohup` started inherits that it is ignored.

    Prefect's worker would then heed no signal at all, and be killed at the end of its grace time.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def python_first(environment: dict[str, str]) -> dict[str, str]:
    """Variables by which supervisord finds this Python by its name alone."""
    python = Path(sys.executable)
    path = os.pathsep.join([str(python.parent), environment.get("PATH", os.defpath)])
    return {"STACK_PYTHON": python.name, "PATH": path}


def supervisor_record() -> SupervisorRecord | None:
    """The recorded supervisord, even if it has ended; None if the record is damaged.

    Raises:
        UserError: the stack of this root is another user's.
    """
    try:
        return SupervisorRecord.model_validate_json(record_file().read_bytes())
    except PermissionError:
        raise UserError(f"The stack of this root is that of {record_file().owner()}.") from None
    except (FileNotFoundError, ValidationError):
        return None


def supervisor_process() -> psutil.Process | None:
    """The process of supervisord; None if it does not run."""
    record = supervisor_record()
    return processes.find_process(record.process) if record else None


def _is_answering() -> bool:
    try:
        programs()
    except (OSError, http.client.HTTPException):
        return False
    return True


def programs() -> list[Program]:
    """The programs that were started, in the order of their first start; empty without supervisord.

    Raises:
        OSError: supervisord runs but does not answer.
    """
    if not supervisor_process():
        return []
    started = [_program(info) for info in _call("getAllProcessInfo") if info["start"]]
    return sorted(started, key=lambda program: START_ORDER.get(program.name, 0))


def _program(info: dict[str, Any]) -> Program:
    return Program(
        name=info["name"],
        pid=info["pid"],
        state=info["statename"],
        since=datetime.fromtimestamp(info["start"], UTC),
        ended_before=datetime.fromtimestamp(info["stop"], UTC) if info["stop"] else None,
    )


def launch(name: str) -> None:
    """Start a program of `supervisord.conf` in the background."""
    interrupts.hold_if_ending()
    _call("startProcess", name, False)


def _call(method: str, *arguments: Any) -> Any:
    """Call supervisord; `method` is one of its XML-RPC interface."""
    record = supervisor_record()
    address = f"unix://{record.folder}/supervisor.sock" if record else ""
    with closing(SupervisorTransport(None, None, address)) as transport:
        server = ServerProxy("http://127.0.0.1", transport=transport)
        return getattr(server.supervisor, method)(*arguments)


def wait_for(name: str, is_ready: Callable[[], bool]) -> None:
    """Wait until a program of the stack is ready.

    Raises:
        UserError: the program has ended, or is not ready within `STARTUP_SECONDS`.
    """
    _wait(name, lambda: _never_ended(name), is_ready)


def _never_ended(name: str) -> bool:
    return any(
        program.is_running and not program.ended_before
        for program in programs()
        if program.name == name
    )


def _wait(name: str, is_alive: Callable[[], bool], is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    log = log_file(name)
    with announced(f"Waiting for {name}"):
        while time.monotonic() < deadline:
            if not is_alive():
                raise UserError(f"{name} has ended; the reason is in {log}.")
            if is_ready():
                return
            time.sleep(0.5)
    raise UserError(f"{name} was not ready within {STARTUP_SECONDS} s; its log is {log}.")


@contextmanager
def announced(action: str) -> Iterator[None]:
    """Print to stderr what is being done, at once and again while it takes long."""
    write_to_stderr(f"{action} …")
    with heartbeat(lambda: action, write_to_stderr):
        yield


def marked_processes(program: str | None = None) -> list[psutil.Process]:
    """Running processes with the stack's variable in their environment: supervisord and all others.

    Those of one program if it is named. Some may be children of no program that still runs, or the
    record may be damaged.
    """
    variables = {STACK_VARIABLE: str(record_file())}
    if program:
        variables[PROGRAM_VARIABLE] = program
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # a process of another user, or an ended one
            if variables.items() <= process.environ().items():
                marked.append(process)
    return marked


def stop() -> list[str]:
    """End the processes of the stack, the last first; returns the names of those that ran."""
    stopped = list[str]()
    if supervisor := supervisor_process():
        with suppress(OSError, http.client.HTTPException, Error):  # it is ended all the same
            for program in reversed([one for one in programs() if one.is_running]):
                stopped.append(program.name)
                _stop_program(program)
        _end([supervisor], PROGRAMS_ENDING_SECONDS)
    remaining = marked_processes()
    _end(remaining, ENDING_SECONDS)
    _delete_records()
    return [*stopped, *(f"process {process.pid}" for process in remaining)]


def _stop_program(program: Program) -> None:
    """Stop a program and wait for its descendants: a run of the worker records its end."""
    descendants = list[psutil.Process]()
    with suppress(psutil.NoSuchProcess):
        descendants = psutil.Process(program.pid).children(recursive=True)
    _call("stopProcess", program.name)
    processes.end_trees(descendants, signal.SIGTERM, ENDING_SECONDS)


def abort(reason: str) -> None:
    """End all processes at once, because a signal ended the start of the stack."""
    _end(marked_processes(), ABORT_SECONDS)
    _delete_records()


def _end(roots: Sequence[psutil.Process], limit_seconds: float) -> None:
    # The worker, the server and supervisord shut down on SIGINT.
    processes.end_trees(roots, signal.SIGINT, limit_seconds)


def _delete_records() -> None:
    if record := supervisor_record():
        with suppress(OSError):
            (record.folder / "logs").unlink(missing_ok=True)
            (record.folder / "supervisor.sock").unlink(missing_ok=True)  # supervisord was killed
            record.folder.rmdir()
    record_file().unlink(missing_ok=True)
    address_file().unlink(missing_ok=True)
