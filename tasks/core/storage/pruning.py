"""Deletes the least recently used entries, and what killed writers left behind."""

import time
from pathlib import Path

from pyarrow.fs import LocalFileSystem

from tasks.core.files import DELETED_PREFIX, delete_best_effort
from tasks.core.locks import is_locked
from tasks.core.storage.artifacts_root import CACHE, artifacts_root, cache_root, remote_store
from tasks.core.storage.entries import LOCKS
from tasks.core.storage.remote import RemoteStore

GRACE_SECONDS = 6 * 3600.0  # entries used this recently may belong to a running run


def prune(max_bytes: int, unused_since: float) -> int:
    """Delete entries here and in the remote store, least recently used first.

    Deletes until `max_bytes` remain. Entries used after `unused_since` (seconds since the epoch)
    are kept in any case, so that a run never loses its inputs. Returns the number of bytes freed.
    """
    freed = prune_local(max_bytes, unused_since)
    remote_root = remote_store()
    return freed + (remote_root.prune(CACHE, max_bytes, unused_since) if remote_root else 0)


def prune_local(max_bytes: int, unused_since: float) -> int:
    """Like `prune`, for the files of this machine alone."""
    _delete_leftovers(unused_since)
    local_store = RemoteStore(LocalFileSystem(), str(artifacts_root()))
    return local_store.prune(CACHE, max_bytes, unused_since)


def free_disk() -> int:
    """Delete all entries of this machine but those of the last hours; returns the bytes freed."""
    return prune_local(0, oldest_writer_start() - GRACE_SECONDS)


def oldest_writer_start() -> float:
    """When the oldest active writer took its lock (seconds since the epoch); now if there is none.

    Entries used since then may be inputs of that writer.
    """
    locks = [lock for lock in _locks() if is_locked(lock)]
    return min((lock.stat().st_mtime for lock in locks), default=time.time())


def _locks() -> list[Path]:
    return list((artifacts_root() / LOCKS).glob("*"))


def _delete_leftovers(unused_since: float) -> None:
    """Delete half-deleted files, folders of killed writers, and locks that no process holds."""
    locked = {lock.name for lock in _locks() if is_locked(lock)}
    for leftover in cache_root().glob("*/.*"):
        if _is_abandoned(leftover, locked, unused_since):
            delete_best_effort(leftover)
    for lock in _locks():
        if lock.name not in locked and not _changed_since(lock, unused_since):
            lock.unlink(missing_ok=True)


def _is_abandoned(leftover: Path, locked: set[str], unused_since: float) -> bool:
    """Whether a hidden folder (`.writing-KEY-…`, `.work-KEY`, `.gone-…`) can be deleted."""
    if leftover.name.startswith(DELETED_PREFIX):
        return True
    key = "".join(leftover.name.split("-")[1:2])
    has_writer = f"{leftover.parent.name}-{key}" in locked
    return not has_writer and not _changed_since(leftover, unused_since)


def _changed_since(path: Path, since: float) -> bool:
    """Whether a file or folder was changed after `since`; False if it no longer exists."""
    try:
        return path.stat().st_mtime >= since
    except FileNotFoundError:
        return False
