"""Locks of flow runs: each run holds one in the artifacts root until it or its process ends.

The operating system releases the lock of a process that is killed. Unlike a process number, it is
seen from other machines and containers that have the same root, and no clock plays a part.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.core.contracts import UserError
from tasks.core.locks import is_locked
from tasks.core.storage.artifacts_root import artifacts_root
from tasks.core.storage.entries import LOCKS

PREFIX = "run-"
ACQUIRE_SECONDS = 10.0  # whoever looks whether a run still runs has its lock for a moment
_locks: dict[str, FileLock] = {}


def hold_run_lock(flow_run: str) -> None:
    """Hold the lock of a flow run, by its id, until `release_run_lock` or the end of this process.

    It is among the locks of writers: what the run has read is not pruned while it runs.

    Raises:
        UserError: another process holds it, so the run would take place twice.
    """
    if flow_run in _locks:  # a retry in this process
        return
    path = _lock_path(flow_run)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)  # a task's thread takes it, another one releases it
    try:
        lock.acquire(timeout=ACQUIRE_SECONDS)
    except Timeout:
        raise UserError(
            f"The flow run {flow_run} runs already: its process holds {path}."
        ) from None
    _locks[flow_run] = lock
    with suppress(OSError):  # only for people: on a full disk the lock works without it
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}")


def release_run_lock(flow_run: str) -> None:
    """Release the lock of a run of this process; does nothing for any other run."""
    if lock := _locks.pop(flow_run, None):
        lock.release()


def is_running(flow_run: str) -> bool | None:
    """Whether the process of a flow run still runs; None if its lock is not in this root."""
    if flow_run in _locks:
        return True
    path = _lock_path(flow_run)
    return is_locked(path) if path.exists() else None


def runs_of_other_processes() -> list[str]:
    """Ids of the flow runs whose lock another process holds."""
    files = {
        file.name.removeprefix(PREFIX): file for file in _lock_path("").parent.glob(f"{PREFIX}*")
    }
    return [name for name in sorted(files.keys() - _locks) if is_locked(files[name])]


def _lock_path(flow_run: str) -> Path:
    return artifacts_root() / LOCKS / f"{PREFIX}{flow_run}"
