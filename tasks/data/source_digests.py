"""Input files -> digests, with a check that the files do not change while they are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tasks.core.contracts import UserError
from tasks.core.storage.entry_record import sha256_of


class FileState(NamedTuple):
    """A file at one moment: its digest, and inode, size and modification time in nanoseconds."""

    path: Path
    sha256: str
    stat: tuple[int, int, int]


def file_states(paths: Sequence[Path]) -> list[FileState]:
    """States of files; every file is read once for its digest."""
    return [_file_state(path) for path in paths]


@contextmanager
def read_unchanged(states: Sequence[FileState]) -> Iterator[None]:
    """Context in which files are read; `states` were taken before the files were opened.

    Reading a file while it is written may raise any error. If a file has changed, that is reported
    instead of the error.

    Raises:
        UserError: a file has changed.
    """
    try:
        yield
    except Exception as error:
        _require_unchanged(states, error)
        raise
    _require_unchanged(states, None)


def _require_unchanged(states: Sequence[FileState], cause: Exception | None) -> None:
    for state in states:
        if not _is_unchanged(state):
            message = f"{state.path.name} changed while it was read: run again when it is complete."
            raise UserError(message) from cause


def _is_unchanged(state: FileState) -> bool:
    try:
        return _file_state(state.path) == state
    except OSError:
        return False


def _file_state(path: Path) -> FileState:
    stat = path.stat()
    return FileState(path, sha256_of(path), (stat.st_ino, stat.st_size, stat.st_mtime_ns))
