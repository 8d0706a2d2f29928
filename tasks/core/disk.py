"""Whether there is a place to write to, and whether an error comes from there being none."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tasks.core.contracts import UserError

MIN_FREE_MB = 50  # what the smallest training writes
_ELSEWHERE = "Set RECOMMENDER_ARTIFACTS to a folder that you can write to."
#: What libraries say that do not raise OSError: torch, SQLite, Arrow, Lance (Rust).
FULL_DISK_PHRASES = (
    "unexpected pos",
    "disk is full",
    "no space left on device",
    "[errno 28]",
    "os error 28",
    "disk quota exceeded",
)
FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
FULL_BELOW_BYTES = 2**20


def require_writable(root: Path) -> None:
    """Check that the artifacts root can be written to; nothing is left there, nor made.

    Raises:
        UserError: it is a file, cannot be written to or be made, or its disk is full.
    """
    place = _existing(root)
    if not place.is_dir():
        raise UserError(f"{place} is a file, not a folder. {_ELSEWHERE}")
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".writable-") as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{place} cannot be written to ({reason}). {_ELSEWHERE}") from error
    free = shutil.disk_usage(place).free / 2**20
    if free < MIN_FREE_MB:
        raise UserError(
            f"The disk of {place} is full ({free:.0f} MB free, a run needs {MIN_FREE_MB} or more). "
            "Free some space, or set RECOMMENDER_ARTIFACTS to a folder on another disk."
        )


def full_disk_message(error: BaseException, root: Path, *others: Path) -> str | None:
    """One sentence where the error came from a full disk; None where it has another cause.

    Looked at are the disks of the artifacts root, the other folders and the temporary folder.
    """
    folders = [root, *others, Path(tempfile.gettempdir())]
    free = {folder: _free_bytes(folder) for folder in folders}
    fullest = min(free, key=lambda folder: free[folder])
    if not any(map(_says_full, _chain(error))) and free[fullest] > FULL_BELOW_BYTES:
        return None
    cache_is_there = _disk_of(fullest) == _disk_of(root)
    advice = (
        " (`make clean-cache` deletes what a run computes again)" if cache_is_there else " there"
    )
    return (
        f"The disk is full: {free[fullest] / 1e6:.0f} MB are free at {fullest}. "
        f"Free space{advice}, then run the same command again."
    )


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        return True
    return any(phrase in str(error).lower() for phrase in FULL_DISK_PHRASES)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def _disk_of(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    """The folder, or the one that it would be made in."""
    return next(path for path in (folder, *folder.parents) if path.exists())
