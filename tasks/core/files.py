"""Atomic writing and deleting of files that other processes may read at the same time."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tasks.core.contracts import UserError

PRIVATE = 0o600  # file mode: readable and writable by the owner alone
DELETED_PREFIX = ".gone-"  # first part of the name of a file or folder that is being deleted


@contextmanager
def atomic_write(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield a new empty file with a unique name; it replaces `path` when the block ends.

    If the block raises, `path` stays unchanged. The file has `mode`, reduced by the umask of the
    process, from its creation on.
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
    """Raise UserError if the artifacts root or one of its parents is a file."""
    for folder in (path, *path.parents):
        if folder.is_file():
            raise UserError(
                f"{folder} is a file, not a folder: set RECOMMENDER_ARTIFACTS to a folder."
            )


def delete_atomically(path: Path) -> None:
    """Rename a file or folder, then delete it, so that readers never see a part of it."""
    renamed = path.with_name(f"{DELETED_PREFIX}{uuid4().hex}")
    try:
        path.rename(renamed)
    except FileNotFoundError:
        return
    delete_best_effort(renamed)


def delete_best_effort(path: Path) -> None:
    """Delete a file or folder; ignore files in it that cannot be deleted."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
