"""Locks between processes, with a time limit and a message that names the holder."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.core.contracts import UserError
from tasks.core.logs import logger

QUIET_SECONDS = 2.0  # shorter waits are not logged


@contextmanager
def file_lock(path: Path, purpose: str, limit_seconds: float) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, which is created if missing.

    The operating system releases the lock when the process ends, even if it is killed. The lock is
    not reentrant: a thread must not take it twice. `purpose` completes "Waiting to …".

    Raises:
        UserError: another process still holds the lock after `limit_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    _acquire(lock, path, purpose=purpose, limit_seconds=limit_seconds)
    try:
        with suppress(OSError):  # only for messages: on a full disk the lock works without it
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path, purpose: str, limit_seconds: float) -> None:
    try:
        lock.acquire(timeout=min(QUIET_SECONDS, limit_seconds))
        return
    except Timeout:
        logger.warning("Waiting to %s: %s holds %s.", purpose, _holder(path), path)
    try:
        lock.acquire(timeout=max(0.0, limit_seconds - QUIET_SECONDS))
    except Timeout:
        raise UserError(
            f"Waited {limit_seconds:.0f} s to {purpose}: {_holder(path)} still holds {path}. "
            "Wait for that process or stop it, then run this command again."
        ) from None


def _holder(path: Path) -> str:
    """Description of the process that holds the lock, as written in the lock file."""
    try:
        return path.read_text() or "another process"
    except OSError:
        return "another process"


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on `path` now."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, PermissionError):
        return True
    lock.release()
    return False
