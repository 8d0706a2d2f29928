"""Outcome of a refresh -> the HTML report in MLflow, and Prefect artifacts."""

import pyarrow as pa
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from prefect.artifacts import create_markdown_artifact

from tasks.core.contracts import IngestRef, RefreshRef, RowsRef, RunRef
from tasks.core.orchestration.retry import io_task
from tasks.core.storage import store
from tasks.recommend.search import get_version
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion, model_folders
from tasks.registry.tracking.mlflow_client import connect
from tasks.registry.tracking.runs import REPORT
from tasks.reports.page_parts import MovieList, run_line
from tasks.reports.refresh_changes import SHOWN_LISTS, Changes, find_changes, lists_of
from tasks.reports.refresh_page import (
    RefreshOutcome,
    refresh_context,
    refresh_title,
    refresh_verdict,
    render_refresh,
)
from tasks.reports.report import create_links, report_location
from tasks.reports.verdict import Verdict


@io_task("report-refresh")
def report_refresh(
    run: RunRef,
    ingested: IngestRef,
    refreshed: RefreshRef,
    champion: Champion,
    rows: RowsRef,
    version: str,
) -> str:
    """Log the report of a refresh and create the Prefect artifacts; return its location.

    `champion` is the version that was refreshed, `version` the number of the new one.
    """
    outcome = RefreshOutcome(
        ingested=ingested,
        refreshed=refreshed,
        version=version,
        before=champion.version,
        trained=_trained_text(champion),
    )
    changes = find_changes(champion.index, store.read(rows))
    lists = _lists(changes, champion, refreshed, store.read(rows))
    _log_report(run, outcome, changes, lists)
    return report_location(run)


def _lists(
    changes: Changes, champion: Champion, refreshed: RefreshRef, rows: pa.Table
) -> list[MovieList]:
    """Lists of the first new movies, or, without new ones, of the first updated ones."""
    movies = changes.added or rows.to_pylist()
    model = TextModel(model_folders(champion))
    return lists_of(movies[:SHOWN_LISTS], get_version(refreshed.index), champion.rank, model)


def _trained_text(champion: Champion) -> str:
    """Which run trained the models of a version."""
    try:
        trained: Run = connect().get_run(champion.run_id)
    except MlflowException:  # somebody deleted the run
        return f"trained by MLflow run {champion.run_id}"
    return f"trained on {trained.data.tags.get('source', 'unknown')} by {run_line(trained)}"


def _log_report(
    run: RunRef, outcome: RefreshOutcome, changes: Changes, lists: list[MovieList]
) -> None:
    client = connect()
    quarantine = store.read(outcome.ingested.quarantine)
    context = refresh_context(outcome, client.get_run(run.run_id), changes, lists, quarantine)
    client.log_text(run.run_id, render_refresh(context), REPORT)
    text = refresh_markdown(refresh_title(outcome), refresh_verdict(outcome, changes))
    client.set_tag(run.run_id, "mlflow.note.content", text)
    create_markdown_artifact(
        text,
        key="refresh-summary",
        description="What the refresh added, updated and quarantined, and whose models answer.",
    )
    create_links(run)


def refresh_markdown(title: str, verdict: Verdict) -> str:
    """The Prefect artifact of a refresh, and the note of its MLflow run."""
    findings = "\n".join(f"- {finding.title}: {finding.text}" for finding in verdict.findings)
    return f"# {title}\n\n{verdict.headline}\n\n{findings}\n"
