"""Whether there is a place to write to: asked before minutes are spent, and when writing failed."""

import errno
import shutil
import tempfile
from pathlib import Path

from tasks.contracts import UserError

NEEDED_MB = 50  # what the smallest training writes
FULL_MB = 1  # less than this is left where a file could not be written
_ELSEWHERE = "Set RECOMMENDER_ARTIFACTS to a folder that you can write to."


def require_writable(root: Path) -> None:
    """Check that the artifacts root can be written to; nothing is left there, nor made.

    Raises:
        UserError: it is a file, cannot be written to or be made, or its disk is full.
    """
    place = _nearest(root)
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
    if free < NEEDED_MB:
        raise UserError(
            f"The disk is full: {free:.0f} MB are free at {place}, and a run needs {NEEDED_MB} or "
            "more. Free some space, or set RECOMMENDER_ARTIFACTS to a folder on another disk."
        )


def require_space(root: Path, error: Exception) -> None:
    """Say that the disk is full where that is why writing failed.

    A library's own error may hide it: PyTorch and Arrow do not always raise an OSError.

    Raises:
        UserError: the disk is full.
    """
    if isinstance(error, UserError):
        return
    said = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if said or shutil.disk_usage(_nearest(root)).free < FULL_MB * 2**20:
        raise UserError(
            f"The disk is full: free space at {root}, then run the same command again."
        ) from error


def _nearest(root: Path) -> Path:
    """The root, or the folder that it would be made in."""
    return next(path for path in (root, *root.parents) if path.exists())
