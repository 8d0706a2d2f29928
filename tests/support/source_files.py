"""Helpers of the tests of ingest: small files, their chunks, and changes to them."""

from pathlib import Path

from tasks.data.ingest import read_chunks
from tasks.data.row_counts import ChunkResult
from tasks.data.sources import Columns, open_file
from tasks.data.validation import IngestState


def new_state() -> IngestState:
    return IngestState("m", set(), {})


def validate_file(path: Path, columns: Columns | None = None) -> ChunkResult:
    """The only chunk of a small file."""
    (chunk,) = read_chunks(open_file(path, columns or Columns()), 1000, new_state())
    return chunk


def append_to(path: Path) -> None:
    """Append a row in place, like a program that is still writing."""
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines(keepends=True)[-1].replace(b"100", b"999"))
