"""refresh: new movies into the published index by inference, without training anything."""

from pathlib import Path
from typing import Any

from prefect import flow, unmapped
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from flows.cli import DONE, main
from flows.hooks import ended_badly, record_signals
from flows.server import prefect_server
from flows.train import MODEL_CODE
from tasks.champion import champion, model_folders
from tasks.compute import Compute, Runner
from tasks.contracts import RefreshRef
from tasks.ingest import IngestConfig, ingest, open_all
from tasks.progress import gather
from tasks.refresh import describe_new, merge, own_source
from tasks.report import report_quarantine
from tasks.source import name_of
from tasks.store import join
from tasks.track import open_run, register, track_refresh, track_source

REQUIRED = ("id", "title", "overview")
CHUNKS_IN_FLIGHT: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=4)


class RefreshConfig(BaseModel):
    """New or changed movies for the champion's index."""

    file: CliPositionalArg[str] = Field(description="CSV or parquet file; genres not needed")
    into: str | None = Field(
        None, description="Source whose ids these are; null: the only one in the index"
    )
    runner: Runner = Field("auto", description="Where chunks are worked on, as in `train`")
    notify: str | None = Field(
        None, description="Prefect notification block that is told of a run that failed"
    )
    ingest: IngestConfig = IngestConfig()


@flow(
    name="refresh",
    task_runner=CHUNKS_IN_FLIGHT,  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[record_signals],
    on_failure=[ended_badly],
    on_crashed=[ended_badly],
    on_cancellation=[ended_badly],
)
def refresh(config: RefreshConfig) -> RefreshRef:
    """Embed new movies with the champion's models and publish them as its next version."""
    old = champion()
    tags = {"preset": "refresh", "source": name_of(config.file), "trained": old.run_id}
    run = open_run(config.model_dump(mode="json"), tags)
    ingested = ingest([config.file], config.ingest, REQUIRED)
    report_quarantine(ingested)
    track_source(run, ingested)
    source, folders = own_source(old.index, config.into), model_folders(old)
    compute = Compute(config.runner, None, len(ingested.chunks))
    described = describe_new.map(
        ingested.chunks, unmapped(folders), unmapped(source), unmapped(compute)
    )
    rows = join(gather("describe", described, ingested.kept))
    merged = merge(old.index, rows, source, run.index_tag)
    track_refresh(run, merged)
    reader = old.model_copy(update={"index": merged.index})
    register(run, folders, reader, MODEL_CODE, True, "new movies for the champion")
    return merged


def command(config: RefreshConfig) -> int:
    """Refresh from the terminal; a file that cannot be read is refused before anything starts."""
    open_all([config.file], config.ingest, REQUIRED)
    champion()
    with prefect_server() as server:
        print(f"Adding {Path(config.file).name} to the index. Prefect server: {server}.")
        found = refresh(config)
    print(f"{found.added} added, {found.updated} updated, {found.index.rows} movies in the index.")
    return DONE


if __name__ == "__main__":
    main(RefreshConfig, "python -m flows.refresh", command)
