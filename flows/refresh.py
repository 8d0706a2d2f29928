"""refresh: add new movies to the published index with the champion's models, without training."""

from typing import Any

from prefect import flow, get_run_logger
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from flows.phases.task_runner import TASK_THREADS, DataflowTaskRunner
from flows.runtime.hooks import on_run_completion, on_run_failure, record_signals
from flows.runtime.notifications import require_block
from flows.runtime.parameters import NOTIFY_ON, FlowParameters, NotifyOn, with_overrides
from flows.runtime.publication import completing
from flows.runtime.resume_commands import command_of
from tasks.core.compute import Compute, Runner
from tasks.core.contracts import IngestRef, RefreshRef, RowsRef, RunRef, UserError
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
from tasks.registry.tracking.registered_model import describe_refreshed, register
from tasks.registry.tracking.runs import open_run, publication_text
from tasks.registry.tracking.source import track_refresh, track_source
from tasks.reports.refresh_report import report_refresh

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
        None,
        description="Prefect notification block that receives a message, by default if the run "
        "fails",
    )
    notify_on: NotifyOn = Field("failure", description=NOTIFY_ON)
    ingest: IngestConfig = IngestConfig()
    retention: RetentionConfig = RetentionConfig()

    @property
    def source_name(self) -> str:
        """Name of the file, as it appears in the name of the run."""
        return source_name(self.file)

    @model_validator(mode="before")
    @classmethod
    def _merge_overrides(cls, values: Any) -> Any:
        return with_overrides(values)


@flow(
    name="refresh",
    flow_run_name="refresh-{config.source_name}-{config.clock}",
    task_runner=DataflowTaskRunner(max_workers=TASK_THREADS),  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[on_run_completion],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def refresh(config: RefreshConfig) -> RefreshRef:
    """Embed new movies with the champion's models and publish them as its next version.

    If another version becomes champion meanwhile, its models embed the movies again.
    """
    store.require_writable()
    require_block(config.notify)
    champion = load_champion()
    run = start_run(config, champion)
    ingested = ingest([config.file], config.ingest, REQUIRED)
    track_source(run, ingested)
    for _ in range(ATTEMPTS):
        source, rows = build_new_rows(config, ingested, champion)
        with champion_lock():
            current = load_champion()
            if current.version == champion.version:
                refreshed, version = publish(run, champion, rows, source)
                break
        get_run_logger().warning(CHAMPION_CHANGED, current.version)
        champion = current
    else:
        raise UserError(f"The champion changed {ATTEMPTS} times during this refresh: run it again.")
    with completing(publication_text(version, is_champion=True)):
        report = report_refresh(
            run=run,
            ingested=ingested,
            refreshed=refreshed,
            champion=champion,
            rows=rows,
            version=version,
        )
    clean_up(config.retention)
    return refreshed.model_copy(update={"report": report})


def start_run(config: RefreshConfig, champion: Champion) -> RunRef:
    """Open the MLflow run, tagged with the run that trained the champion, and the command."""
    tags = {"preset": "refresh", "source": config.source_name, "trained": champion.run_id}
    tags["command"] = command_of("refresh", config)
    return open_run(config.model_dump(mode="json"), tags)


def build_new_rows(
    config: RefreshConfig, ingested: IngestRef, champion: Champion
) -> tuple[str, RowsRef]:
    """The source that the new movies belong to, and their index rows by the champion's models."""
    source, folders = index_source(champion.index, config.into), model_folders(champion)
    compute = Compute(config.runner, None, len(ingested.chunks))
    rows = index_new_movies.submit(ingested.chunks, folders, source, champion.index, compute)
    return source, rows.result()


def publish(run: RunRef, champion: Champion, rows: RowsRef, source: str) -> tuple[RefreshRef, str]:
    """Merge rows into the champion's index and promote the result; call it under the lock.

    Returns the merged index and the number of the new version.
    """
    config = IndexConfig.model_validate_json(champion.index_config, extra="ignore")
    refreshed = merge(champion.index, rows, source, run.index_tag, config)
    track_refresh(run, refreshed, champion.run_id)
    version = champion.model_copy(
        update={"index": refreshed.index, "version": "", "registered": None}
    )
    promotion = PromotionDecision(outcome="promoted", why=WHY)
    registered = register(run, model_folders(champion), version, promotion)
    describe_refreshed(registered, champion.version, refreshed)
    return refreshed, registered


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("refresh")
