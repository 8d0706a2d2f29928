"""Locks between processes: waited for with a message, and not for ever."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.core.contracts import UserError

QUIET_SECONDS = 2.0  # a wait this short is not worth a message
logger = logging.getLogger("prefect.movie_recommender")


@contextmanager
def file_lock(path: Path, purpose: str, limit_seconds: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`, a file that is created where it does not exist.

    The operating system releases the lock when its holder ends, however it ends. It is not
    reentrant: the same thread must not take it twice. `purpose` completes "waiting to …".

    Raises:
        UserError: another process still holds it after `limit_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    _acquire(lock, path, purpose, limit_seconds)
    try:
        with suppress(OSError):  # a name for who waits: on a full disk the lock holds without it
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
            "Wait for it or end it, then run this command again."
        ) from None


def _holder(path: Path) -> str:
    """The process that wrote its name into the lock file, as far as it can be read."""
    try:
        return path.read_text() or "another process"
    except OSError:
        return "another process"


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on `path` at this moment."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, PermissionError):
        return True
    lock.release()
    return False
