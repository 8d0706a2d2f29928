"""Files that must not change while they are read, and the digests that they are recorded under."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tasks.core.contracts import UserError
from tasks.core.storage.entry_record import sha256_of


class FileState(NamedTuple):
    """What a file was when it was looked at: its digest, and what changes with every write."""

    path: Path
    sha256: str
    written: tuple[int, int, int]


def file_states(paths: Sequence[Path]) -> list[FileState]:
    """Read every file once for its digest."""
    return [_state(path) for path in paths]


@contextmanager
def read_unchanged(states: Sequence[FileState]) -> Iterator[None]:
    """Read files of which `states_of` was taken before they were opened.

    A file that is written to may be read in a state that it was in at no time, and fails to be
    read in ways of every kind: that it changed is then what is said.

    Raises:
        UserError: one of them is not what it was.
    """
    try:
        yield
    except Exception as error:
        _require_unchanged(states, error)
        raise
    _require_unchanged(states, None)


def _require_unchanged(states: Sequence[FileState], cause: Exception | None) -> None:
    for before in states:
        try:
            same = _state(before.path) == before
        except OSError:
            same = False
        if not same:
            message = (
                f"{before.path.name} changed while it was read: run again when it is complete."
            )
            raise UserError(message) from cause


def _state(path: Path) -> FileState:
    stat = path.stat()
    return FileState(path, sha256_of(path), (stat.st_ino, stat.st_size, stat.st_mtime_ns))
