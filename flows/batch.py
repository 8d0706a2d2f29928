"""batch: recommendation lists of every movie of the index, or of a file of titles, as parquet."""

import csv
import sys
from pathlib import Path

import pyarrow.parquet as pq
from prefect import flow, get_run_logger, unmapped
from pydantic import Field

from flows.phases.futures import as_inputs, join_lists
from flows.phases.task_runner import TASK_THREADS, DataflowTaskRunner
from flows.runtime.hooks import on_run_failure, record_signals
from flows.runtime.parameters import FlowParameters
from tasks.core.compute import Compute, Runner
from tasks.core.contracts import ListsRef, UserError
from tasks.core.files import atomic_write
from tasks.core.progress import gather
from tasks.core.storage import store
from tasks.recommend.search import Version, get_version
from tasks.recommend.title_choice import resolve_title
from tasks.registry.batch import rank_lists
from tasks.registry.champion import Champion, load_champion

CHUNK_ROWS = 1000


class BatchConfig(FlowParameters):
    """Recommendation lists of many movies."""

    form_fields = ("file", "limit", "output")

    file: str | None = Field(
        None,
        description="CSV file with a column `title` and, optionally, `year`; "
        "left out: every movie of the index",
    )
    limit: int = Field(10, ge=1, le=100, description="Movies per list")
    output: str | None = Field(
        None,
        description="Parquet file to write; left out: recommendations.parquet among the artifacts",
    )
    runner: Runner = Field("auto", description="Where chunks are processed, as in `train`")
    notify: str | None = Field(
        None, description="Prefect notification block that receives a message if the run fails"
    )


def read_titles(path: Path) -> list[tuple[str, str]]:
    """Title and year of every row of a CSV file; the year is empty where the file has none.

    Raises:
        UserError: the file cannot be read, has no column `title`, or has no rows.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    if not rows or "title" not in rows[0]:
        raise UserError(f"{path.name}: no column 'title', or no rows.")
    return [(row["title"] or "", (row.get("year") or "").strip()) for row in rows]


def parse_year(text: str) -> int | None:
    """The year of a cell; None for an empty cell.

    Raises:
        UserError: the cell is not a number.
    """
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise UserError(f"year '{text}' is not a number.") from None


def find_rows(version: Version, path: Path) -> list[int]:
    """Index rows of the movies in a file, without duplicates.

    Titles that are not in the index, or that can mean several movies, are reported on stderr.

    Raises:
        UserError: the file cannot be read, or none of its titles is in the index.
    """
    row_indices = []
    for number, (title, year) in enumerate(read_titles(path), start=1):
        try:
            row, note = resolve_title(version, title, parse_year(year), None)
        except UserError as error:
            print(f"{path.name} row {number}: {error}", file=sys.stderr)
            continue
        row_indices.append(row)
        if note:
            print(f"{path.name} row {number}: {note}", file=sys.stderr)
    if not row_indices:
        raise UserError(f"{path.name}: none of its titles is in the index.")
    return list(dict.fromkeys(row_indices))


def write_lists(lists: ListsRef, output: str | None) -> Path:
    """Write the lists atomically into one parquet file; the path of the file."""
    path = Path(output) if output else store.artifacts_root() / "recommendations.parquet"
    chunks = store.chunks(lists)
    first = next(chunks)
    with atomic_write(path) as new, pq.ParquetWriter(new, first.schema) as writer:
        writer.write_table(first)
        for chunk in chunks:
            writer.write_table(chunk)
    return path


@flow(
    name="batch",
    task_runner=DataflowTaskRunner(max_workers=TASK_THREADS),  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[record_signals],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def batch(config: BatchConfig) -> str:
    """Rank the lists of many movies, chunk by chunk; a rerun reuses the finished chunks."""
    store.require_writable()
    champion = load_champion()
    version = get_version(champion.index)
    every_row = range(len(version.catalogue))
    rows = find_rows(version, Path(config.file)) if config.file else list(every_row)
    path = write_lists(rank_rows(config, champion, rows), config.output)
    get_run_logger().info("Lists of %d movies in %s", len(rows), path)
    return str(path)


def rank_rows(config: BatchConfig, champion: Champion, rows: list[int]) -> ListsRef:
    """Lists of the movies in some rows of the champion's index."""
    chunks = [rows[first : first + CHUNK_ROWS] for first in range(0, len(rows), CHUNK_ROWS)]
    compute = Compute(config.runner, None, len(chunks))
    ranked = rank_lists.map(
        chunks,
        unmapped(champion.index),
        unmapped(champion.rank),
        unmapped(config.limit),
        unmapped(compute),
    )
    lists = join_lists.submit(as_inputs(ranked))
    gather("lists", ranked, len(rows) * config.limit)
    return lists.result()


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("batch")
