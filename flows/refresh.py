"""refresh: add new movies to the published index with the champion's models, without training."""

from typing import Any

from prefect import flow, get_run_logger, unmapped
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from flows.phases.futures import as_inputs, join_rows
from flows.phases.task_runner import TASK_THREADS, DataflowTaskRunner
from flows.runtime.hooks import on_run_failure, record_signals
from flows.runtime.parameters import FlowParameters, with_overrides
from tasks.core.compute import Compute, Runner
from tasks.core.contracts import IngestRef, RefreshRef, RowsRef, RunRef, UserError
from tasks.core.progress import gather
from tasks.core.storage import store
from tasks.data.ingest import IngestConfig, ingest
from tasks.data.sources import source_name
from tasks.recommend.index import IndexConfig
from tasks.registry.aliases import champion_lock
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.config import RetentionConfig
from tasks.registry.gate import PromotionDecision
from tasks.registry.refresh import index_new_movies, index_source, merge
from tasks.registry.retention import clean_up
from tasks.registry.tracking.registered_model import register
from tasks.registry.tracking.runs import open_run
from tasks.registry.tracking.source import track_refresh, track_source
from tasks.reports.report import report_quarantine

REQUIRED = ("title", "overview")
ATTEMPTS = 5  # a champion that is promoted during a refresh makes it start again
WHY = "new movies for the champion"
CHAMPION_CHANGED = "Version %s became champion during this refresh: starting again from it"


class RefreshConfig(FlowParameters):
    """New or changed movies for the champion's index."""

    form_fields = ("file", "into", "notify")
    has_overrides = True

    file: CliPositionalArg[str] = Field(description="CSV or parquet file; genres are optional")
    into: str | None = Field(
        None,
        description="Source that the ids belong to; left out: the only source of the index",
    )
    runner: Runner = Field("auto", description="Where chunks are processed, as in `train`")
    notify: str | None = Field(
        None, description="Prefect notification block that receives a message if the run fails"
    )
    ingest: IngestConfig = IngestConfig()
    retention: RetentionConfig = RetentionConfig()

    @model_validator(mode="before")
    @classmethod
    def _merge_overrides(cls, values: Any) -> Any:
        return with_overrides(values)


@flow(
    name="refresh",
    task_runner=DataflowTaskRunner(max_workers=TASK_THREADS),  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[record_signals],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def refresh(config: RefreshConfig) -> RefreshRef:
    """Embed new movies with the champion's models and publish them as its next version.

    If another version becomes champion meanwhile, its models embed the movies again.
    """
    store.require_writable()
    champion = load_champion()
    run = start_run(config, champion)
    ingested = ingest([config.file], config.ingest, REQUIRED)
    report_quarantine(ingested)
    track_source(run, ingested)
    for _ in range(ATTEMPTS):
        source, rows = build_new_rows(config, ingested, champion)
        with champion_lock():
            current = load_champion()
            if current.version == champion.version:
                refreshed = publish(run, champion, rows, source)
                break
        get_run_logger().warning(CHAMPION_CHANGED, current.version)
        champion = current
    else:
        raise UserError(f"The champion changed {ATTEMPTS} times during this refresh: run it again.")
    clean_up(config.retention)
    return refreshed


def start_run(config: RefreshConfig, champion: Champion) -> RunRef:
    """Open the MLflow run, tagged with the run that trained the champion."""
    source = source_name(config.file)
    tags = {"preset": "refresh", "source": source, "trained": champion.run_id}
    return open_run(config.model_dump(mode="json"), tags)


def build_new_rows(
    config: RefreshConfig, ingested: IngestRef, champion: Champion
) -> tuple[str, RowsRef]:
    """The source that the new movies belong to, and their index rows by the champion's models."""
    source, folders = index_source(champion.index, config.into), model_folders(champion)
    compute = Compute(config.runner, None, len(ingested.chunks))
    chunks = index_new_movies.map(
        ingested.chunks, unmapped(folders), unmapped(source), unmapped(compute)
    )
    rows = join_rows.submit(as_inputs(chunks))
    gather("index-new-movies", chunks, ingested.kept)
    return source, rows.result()


def publish(run: RunRef, champion: Champion, rows: RowsRef, source: str) -> RefreshRef:
    """Merge rows into the champion's index and promote the result; call it under the lock."""
    config = IndexConfig.model_validate_json(champion.index_config, extra="ignore")
    refreshed = merge(champion.index, rows, source, run.index_tag, config)
    track_refresh(run, refreshed, champion.run_id)
    version = champion.model_copy(update={"index": refreshed.index, "version": ""})
    promotion = PromotionDecision(outcome="promoted", why=WHY)
    register(run, model_folders(champion), version, promotion)
    return refreshed


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("refresh")
