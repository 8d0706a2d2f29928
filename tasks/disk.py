"""Whether an error means that a disk is full, and which disk that is."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: What libraries say that do not raise OSError: torch, SQLite, Arrow, Lance (Rust).
PHRASES = (
    "unexpected pos",
    "disk is full",
    "no space left on device",
    "[errno 28]",
    "os error 28",
    "disk quota exceeded",
)
FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
NOTHING_LEFT_BYTES = 2**20


def full_disk_message(error: BaseException, folders: list[Path]) -> str | None:
    """One sentence where the error came from a full disk; `folders` are those that were written to.

    None where it has another cause.
    """
    free = {folder: _free_bytes(folder) for folder in [*folders, Path(tempfile.gettempdir())]}
    fullest = min(free, key=lambda folder: free[folder])
    if not any(map(_says_full, _chain(error))) and free[fullest] > NOTHING_LEFT_BYTES:
        return None
    return (
        f"The disk is full: {free[fullest] / 1e6:.0f} MB are free at {fullest}. "
        "Free space (`make clean-cache` deletes what a run computes again), "
        "then run the same command again."
    )


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        return True
    return any(phrase in str(error).lower() for phrase in PHRASES)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free
