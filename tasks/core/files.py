"""Files and folders that other processes may look at: written whole, and deleted whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tasks.core.contracts import UserError

PRIVATE = 0o600  # mode of a file that its owner alone can read
DELETED_PREFIX = ".gone-"  # what the name of something begins with that is being deleted


@contextmanager
def atomic_write(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """An empty file that no other writer uses; it takes the place of `path` when it is written.

    Where writing fails, `path` stays as it was. `mode` is its mode from the beginning, less what
    the process's umask takes away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{uuid4().hex}.new")
    try:
        new.touch(mode)
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def require_folder(path: Path) -> None:
    """Raises UserError if the artifacts root, or a folder that it is in, is a file."""
    for folder in (path, *path.parents):
        if folder.is_file():
            raise UserError(
                f"{folder} is a file, not a folder: set RECOMMENDER_ARTIFACTS to a folder."
            )


def delete_atomically(path: Path) -> None:
    """Delete a file or folder, renamed first, so that no reader meets half of it."""
    gone = path.with_name(f"{DELETED_PREFIX}{uuid4().hex}")
    try:
        path.rename(gone)
    except FileNotFoundError:
        return
    delete_best_effort(gone)


def delete_best_effort(path: Path) -> None:
    """Delete a file or folder as far as that is possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
