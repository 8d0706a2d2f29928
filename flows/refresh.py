"""refresh: new movies into the published index by inference, without training anything."""

from typing import Any

from prefect import flow, get_run_logger, unmapped
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from flows.runtime.hooks import on_run_failure, record_signals
from flows.runtime.parameters import FlowParameters, with_overrides
from tasks.core.compute import Compute, Runner
from tasks.core.contracts import IngestRef, RefreshRef, RowsRef, RunRef, UserError
from tasks.core.progress import gather
from tasks.core.storage import store
from tasks.core.storage.store import join
from tasks.data.ingest import IngestConfig, ingest
from tasks.data.sources import source_name
from tasks.recommend.index import IndexConfig
from tasks.registry.aliases import champion_lock
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.refresh import index_new_movies, index_source, merge
from tasks.registry.retention import RetentionConfig, clean_up
from tasks.registry.tracking.registered_model import Promotion, register
from tasks.registry.tracking.runs import open_run
from tasks.registry.tracking.source import track_refresh, track_source
from tasks.reports.report import report_quarantine

REQUIRED = ("id", "title", "overview")
ATTEMPTS = 5  # times that a refresh starts again from a champion that was promoted meanwhile
WHY = "new movies for the champion"
CHUNKS_IN_FLIGHT: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=4)


class RefreshConfig(FlowParameters):
    """New or changed movies for the champion's index."""

    form_fields = ("file", "into", "notify")
    has_overrides = True

    file: CliPositionalArg[str] = Field(description="CSV or parquet file; genres not needed")
    into: str | None = Field(
        None, description="Source whose ids these are; left out: the only one in the index"
    )
    runner: Runner = Field("auto", description="Where chunks are worked on, as in `train`")
    notify: str | None = Field(
        None, description="Prefect notification block that is told of a run that failed"
    )
    ingest: IngestConfig = IngestConfig()
    retention: RetentionConfig = RetentionConfig()

    @model_validator(mode="before")
    @classmethod
    def _merge_overrides(cls, values: Any) -> Any:
        return with_overrides(values)


@flow(
    name="refresh",
    task_runner=CHUNKS_IN_FLIGHT,  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[record_signals],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def refresh(config: RefreshConfig) -> RefreshRef:
    """Embed new movies with the champion's models and publish them as its next version.

    Where another version becomes champion meanwhile, the movies are embedded anew with its models.
    """
    store.require_writable()
    base = load_champion()
    tags = {"preset": "refresh", "source": source_name(config.file), "trained": base.run_id}
    run = open_run(config.model_dump(mode="json"), tags)
    ingested = ingest([config.file], config.ingest, REQUIRED)
    report_quarantine(ingested)
    track_source(run, ingested)
    for _ in range(ATTEMPTS):
        source, rows = describe(config, ingested, base)
        with champion_lock():
            current = load_champion()
            if current.version == base.version:
                merged = publish(run, base, rows, source)
                break
        get_run_logger().warning(
            "Version %s became champion during this refresh: starting again from it",
            current.version,
        )
        base = current
    else:
        raise UserError(f"The champion changed {ATTEMPTS} times during this refresh: run it again.")
    clean_up(config.retention)
    return merged


def describe(config: RefreshConfig, ingested: IngestRef, base: Champion) -> tuple[str, RowsRef]:
    """Rows of the new movies by a version's models, and the source that they belong to."""
    source, folders = index_source(base.index, config.into), model_folders(base)
    compute = Compute(config.runner, None, len(ingested.chunks))
    described = index_new_movies.map(
        ingested.chunks, unmapped(folders), unmapped(source), unmapped(compute)
    )
    return source, join(gather("describe", described, ingested.kept))


def publish(run: RunRef, base: Champion, rows: RowsRef, source: str) -> RefreshRef:
    """Merge rows into a version's index and make the result the champion, under its lock."""
    config = IndexConfig.model_validate_json(base.index_config, extra="ignore")
    merged = merge(base.index, rows, source, run.index_tag, config)
    track_refresh(run, merged, base.run_id)
    reader = base.model_copy(update={"index": merged.index, "version": ""})
    register(run, model_folders(base), reader, Promotion(promote=True, why=WHY))
    return merged


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("refresh")
