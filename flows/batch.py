"""batch: recommendation lists of every movie of the index, or of a file of titles.

The lists are written as parquet and, on request, exported by TMDB or IMDb ids.
"""

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import ConfigDict, Field

from flows.phases.task_runner import TASK_THREADS, DataflowTaskRunner
from flows.runtime.flow_run_tags import tag_flow_run
from flows.runtime.hooks import on_run_completion, on_run_failure, record_signals
from flows.runtime.notifications import require_block
from flows.runtime.parameters import NOTIFY_ON, FlowParameters, NotifyOn
from tasks.core.compute import Compute, Runner
from tasks.core.contracts import ListsRef, UserError
from tasks.core.files import atomic_write
from tasks.core.storage import store
from tasks.core.storage.run_locks import hold_run_lock
from tasks.data.sources import source_name
from tasks.recommend.export import (
    ExportFormat,
    IdKind,
    MovieKey,
    PublicId,
    id_lists,
    public_ids,
    write_export,
)
from tasks.recommend.search import Version, get_version
from tasks.recommend.title_choice import resolve_title
from tasks.registry.batch import rank_lists, row_chunks
from tasks.registry.champion import load_champion


class BatchConfig(FlowParameters):
    """Recommendation lists of many movies."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

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
    export: ExportFormat | None = Field(
        None, description="Also write the lists as ids beside the parquet file, in this format"
    )
    export_ids: IdKind = Field(
        "tmdb",
        alias="export-ids",
        description="Ids of the export: tmdb, the ids of the source, or imdb, its column imdb_id",
    )
    export_source: str | None = Field(
        None,
        alias="export-source",
        description="Source whose movies are exported; needed if the index has several",
    )
    runner: Runner = Field("auto", description="Where chunks are processed, as in `train`")
    notify: str | None = Field(
        None,
        description="Prefect notification block that receives a message, by default if the run "
        "fails",
    )
    notify_on: NotifyOn = Field("failure", description=NOTIFY_ON)

    @property
    def movies_name(self) -> str:
        """The file of titles, as it appears in the name of the run."""
        return source_name(self.file) if self.file else "every-movie"


def read_titles(path: Path) -> list[tuple[str, str]]:
    """Title and year of every row of a CSV file; the year is empty where the file has none.

    Raises:
        UserError: the file cannot be read, has no column `title`, or has no rows.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"Cannot read {path}: {reason}.") from error
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


def output_path(config: BatchConfig) -> Path:
    """The parquet file that a config names."""
    if config.output is not None:
        return Path(config.output)
    return store.artifacts_root() / "recommendations.parquet"


def require_output(path: Path) -> None:
    """Create the folder of the parquet file.

    Raises:
        UserError: the path is a folder, or its folder cannot be created.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: give --output the name of a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from error


def export_path(config: BatchConfig) -> Path | None:
    """The exported file, beside the parquet file; None without `export`.

    Raises:
        UserError: the parquet file has the same name.
    """
    if config.export is None:
        return None
    path = output_path(config)
    if path.suffix == f".{config.export}":
        raise UserError(f"{path} is the name of the parquet file: let --output end in .parquet.")
    return path.with_suffix(f".{config.export}")


def exported_ids(config: BatchConfig, version: Version) -> dict[MovieKey, PublicId]:
    """Public id of each movie; empty without `export`. Checked before any list is ranked.

    Raises:
        UserError: the index has no such ids, or several sources.
    """
    if export_path(config) is None:
        return {}
    return public_ids(version.catalogue, config.export_ids, config.export_source)


def write_lists(lists: ListsRef, path: Path) -> None:
    """Write the lists atomically into one parquet file."""
    chunks = store.chunks(lists)
    first = next(chunks)
    with atomic_write(path) as new, pq.ParquetWriter(new, first.schema) as writer:
        writer.write_table(first)
        for chunk in chunks:
            writer.write_table(chunk)


def export_lists(
    config: BatchConfig, lists: ListsRef, ids: Mapping[MovieKey, PublicId], n_movies: int
) -> None:
    """Write the lists by public id, if a config asks for it; logs how many are left out."""
    path = export_path(config)
    if path is None or config.export is None:
        return
    exported = write_export(id_lists(store.chunks(lists), ids), path, config.export)
    get_run_logger().info(
        "Lists of %d movies by %s id in %s; %d movies without such an id are left out",
        exported,
        config.export_ids.upper(),
        path,
        n_movies - exported,
    )


@flow(
    name="batch",
    flow_run_name="batch-{config.movies_name}-{config.clock}",
    task_runner=DataflowTaskRunner(max_workers=TASK_THREADS),  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[on_run_completion],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def batch(config: BatchConfig) -> str:
    """Rank the lists of many movies, chunk by chunk; a rerun reuses the finished chunks."""
    store.require_writable()
    require_block(config.notify)
    hold_run_lock(str(flow_run.id))  # its chunks are not pruned before it ends
    champion = load_champion()
    tag_flow_run([f"v{champion.version}"])
    version = get_version(champion.index)
    ids = exported_ids(config, version)
    every_row = range(len(version.catalogue))
    rows = find_rows(version, Path(config.file)) if config.file else list(every_row)
    compute = Compute(config.runner, None, len(row_chunks(rows)))
    lists = rank_lists.submit(rows, champion.index, champion.rank, config.limit, compute).result()
    path = output_path(config)
    write_lists(lists, path)
    get_run_logger().info("Lists of %d movies in %s", len(rows), path)
    export_lists(config, lists, ids, n_movies=len(rows))
    return str(path)


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("batch")
