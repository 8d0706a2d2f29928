"""batch: the lists of every movie of the champion's index, or of a file of titles, as parquet."""

import csv
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect import flow, get_run_logger, unmapped
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.runtime.hooks import on_run_failure, record_signals
from flows.runtime.parameters import FlowParameters
from tasks.core.compute import Compute, Runner
from tasks.core.contracts import ListsRef, UserError
from tasks.core.files import atomic_write
from tasks.core.progress import gather
from tasks.core.storage import store
from tasks.core.storage.store import join
from tasks.recommend.query import row_by_title
from tasks.recommend.search import Version, get_version
from tasks.registry.batch import rank_lists
from tasks.registry.champion import load_champion

CHUNK_ROWS = 1000
CHUNKS_IN_FLIGHT: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=4)


class BatchConfig(FlowParameters):
    """Lists for many movies at once."""

    form_fields = ("file", "limit", "output")

    file: str | None = Field(
        None,
        description="CSV file with a column `title`, and `year` if wanted; left out: every movie",
    )
    limit: int = Field(10, ge=1, le=100, description="How many movies a list")
    output: str | None = Field(
        None,
        description="Parquet file to write; left out: recommendations.parquet among the artifacts",
    )
    runner: Runner = Field("auto", description="Where chunks are worked on, as in `train`")
    notify: str | None = Field(
        None, description="Prefect notification block that is told of a run that failed"
    )


def rows_of(version: Version, path: str) -> list[int]:
    """Rows of the movies that a file names; what is not found is named on stderr.

    Raises:
        UserError: the file cannot be read, or names no movie of the index.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    if not lines or "title" not in lines[0]:
        raise UserError(f"{Path(path).name}: no column 'title', or no rows.")
    found = []
    for number, line in enumerate(lines, start=1):
        year = (line.get("year") or "").strip()
        try:
            found.append(
                row_by_title(version, line["title"] or "", int(year) if year else None, None)
            )
        except (UserError, ValueError) as error:
            print(f"{Path(path).name} row {number}: {error}", file=sys.stderr)
    if not found:
        raise UserError(f"{Path(path).name}: none of its titles is in the index.")
    return list(dict.fromkeys(found))


def write_lists(lists: ListsRef, output: str | None) -> Path:
    """Write the lists into one file, whole or not at all."""
    path = Path(output) if output else store.artifacts_root() / "recommendations.parquet"
    parts = store.chunks(lists)
    first = next(parts)
    with atomic_write(path) as new, pq.ParquetWriter(new, first.schema) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)
    return path


@flow(
    name="batch",
    task_runner=CHUNKS_IN_FLIGHT,  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[record_signals],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def batch(config: BatchConfig) -> str:
    """Rank the lists of many movies, chunk by chunk; what is done is found again by a rerun."""
    store.require_writable()
    found = load_champion()
    version = get_version(found.index)
    rows = rows_of(version, config.file) if config.file else list(range(len(version.catalogue)))
    chunks = [rows[first : first + CHUNK_ROWS] for first in range(0, len(rows), CHUNK_ROWS)]
    compute = Compute(config.runner, None, len(chunks))
    ranked = rank_lists.map(
        chunks,
        unmapped(found.index),
        unmapped(found.rank),
        unmapped(config.limit),
        unmapped(compute),
    )
    path = write_lists(join(gather("lists", ranked, len(rows) * config.limit)), config.output)
    get_run_logger().info("Lists of %d movies in %s", len(rows), path)
    return str(path)


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("batch")
