"""Files and folders that other processes may look at: written whole, and deleted whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

GONE = ".gone-"  # what the name of something begins with that is being deleted


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name that no other writer uses, whose file takes the place of `path` when it is written.

    Where writing fails, `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{uuid4().hex}.new")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Delete a file or folder, renamed first, so that no reader meets half of it."""
    gone = path.with_name(f"{GONE}{uuid4().hex}")
    try:
        path.rename(gone)
    except FileNotFoundError:
        return
    remove(gone)


def remove(path: Path) -> None:
    """Delete a file or folder as far as that is possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
