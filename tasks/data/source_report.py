"""Sources -> what a run would keep, quarantine, merge and guess, without training on them."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from tasks.data.columns import REQUIRED
from tasks.data.ingest import IngestConfig, merged_names, open_sources, read_files
from tasks.data.row_counts import RowCounts
from tasks.data.sources import Source, source_label
from tasks.data.validation import IngestState

MAX_FILES = 5  # whose formats are described


class SourceReport(NamedTuple):
    """What reading sources gives.

    `formats` has the format of each of the first files, `columns` the column in which each field
    was found, `genres` the number of movies by genre, and `merged` the spellings of each genre that
    is written in several ways.
    """

    name: str
    formats: dict[str, str]
    columns: dict[str, str]
    counts: RowCounts
    genres: Counter[str]
    merged: dict[str, list[str]]


def report_sources(
    sources: Sequence[str], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> SourceReport:
    """Read sources to their end and count; joined files are not read.

    Raises:
        UserError: a source cannot be read or lacks a required column.
    """
    opened = open_sources(sources, config, required)
    files = [file for one in opened for file in one.files]
    counts, genres, spellings = RowCounts(), Counter[str](), dict[str, str]()
    for one in opened:
        state = IngestState(one.source.name, spellings=spellings)
        for chunk in read_files(one, config.chunk_rows, state):
            counts.add(chunk)
            genres.update(chain.from_iterable(chunk.movies["genres"].to_pylist()))
    return SourceReport(
        name=source_label([path for one in opened for path in one.source.files]),
        formats={file.name: str(file.format) for file in files[:MAX_FILES]},
        columns=_columns(files),
        counts=counts,
        genres=genres,
        merged=merged_names(spellings),
    )


def _columns(files: Sequence[Source]) -> dict[str, str]:
    """The column of each field in the first file that has it."""
    return {
        field: file.header[position]
        for file in reversed(files)
        for field, position in file.positions.items()
    }
