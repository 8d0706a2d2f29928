"""Checks before a run that its disk is writable; recognises errors that a full disk caused."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tasks.core.contracts import UserError

MIN_FREE_MB = 50  # size of the smallest training run
_ADVICE = "Set RECOMMENDER_ARTIFACTS to a folder that you can write to."
#: Messages of libraries that do not raise OSError: torch, SQLite, Arrow, Lance (Rust).
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
    """Check that the artifacts root is writable, without creating it.

    Raises:
        UserError: the root is a file, cannot be written to or created, or its disk is full.
    """
    folder = _nearest_existing(root)
    if not folder.is_dir():
        raise UserError(f"{folder} is a file, not a folder. {_ADVICE}")
    _require_write_access(folder)
    _require_free_space(folder)


def _require_write_access(folder: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-") as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder} cannot be written to ({reason}). {_ADVICE}") from error


def _require_free_space(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free / 2**20
    if free_mb < MIN_FREE_MB:
        raise UserError(
            f"The disk of {folder} is full ({free_mb:.0f} MB free; a run needs at least "
            f"{MIN_FREE_MB} MB). Free some space, or set RECOMMENDER_ARTIFACTS to a folder on "
            "another disk."
        )


def full_disk_message(error: BaseException, root: Path, *other_folders: Path) -> str | None:
    """Message for the user if a full disk caused the error; None for every other cause.

    Checks the disks of the artifacts root, of the other folders and of the temporary folder.
    """
    folders = [root, *other_folders, Path(tempfile.gettempdir())]
    free_bytes = {folder: _free_bytes(folder) for folder in folders}
    fullest = min(free_bytes, key=lambda folder: free_bytes[folder])
    if not _reports_full_disk(error) and free_bytes[fullest] > FULL_BELOW_BYTES:
        return None
    advice = " there"
    if _disk_of(fullest) == _disk_of(root):
        advice = " (`make clean-cache` deletes results that the next run computes again)"
    return (
        f"The disk is full: {free_bytes[fullest] / 1e6:.0f} MB are free at {fullest}. "
        f"Free space{advice}, then run the same command again."
    )


def _reports_full_disk(error: BaseException) -> bool:
    """Whether the error, or an error that caused it, is that of a full disk."""
    return any(map(_is_full_disk_error, _error_chain(error)))


def _is_full_disk_error(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        return True
    return any(phrase in str(error).lower() for phrase in FULL_DISK_PHRASES)


def _error_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that may not exist yet."""
    return shutil.disk_usage(_nearest_existing(folder)).free


def _disk_of(folder: Path) -> int:
    return _nearest_existing(folder).stat().st_dev


def _nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
