"""Helpers of the tests of ingest: small files, their chunks, and changes to them."""

from pathlib import Path

from tasks.data.columns import Columns
from tasks.data.conventions import learn_conventions
from tasks.data.ingest import read_chunks
from tasks.data.row_counts import ChunkResult
from tasks.data.sources import ReadOptions, open_file
from tasks.data.validation import IngestState


def new_state() -> IngestState:
    return IngestState("m")


def validate_file(
    path: Path, columns: Columns | None = None, encoding: str | None = None
) -> ChunkResult:
    """The only chunk of a small file."""
    options = ReadOptions(columns or Columns(), encoding)
    (conventions,) = learn_conventions([open_file(path, options)])
    state = IngestState("m", conventions=conventions)
    (chunk,) = read_chunks(open_file(path, options), 1000, state)
    return chunk


def append_to(path: Path) -> None:
    """Append a row in place, like a program that is still writing."""
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines(keepends=True)[-1].replace(b"100", b"999"))
