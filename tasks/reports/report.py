"""Outcome of a run -> Prefect artifacts, and the HTML report in MLflow."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run, task_run

from tasks.core.contracts import FiguresRef, IngestRef, RunRef, ScoresRef
from tasks.core.retry import io_task
from tasks.core.storage import store
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.stage_times import wait_for_stage_times
from tasks.reports.summary import (
    REPORT,
    SHOWN_ROWS,
    Summary,
    markdown,
    quarantine_summary,
    relative_path,
    report_page,
    run_page,
)


def report_location(run: RunRef) -> str:
    """Path of the report if MLflow stores files on this machine, else its address in MLflow."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = connect().get_run(run.run_id).info.artifact_uri
    if not root.startswith(("file:", "/")):
        return report_page(run)
    folder = local_file_uri_to_path(root)  # type: ignore[no-untyped-call]
    return str(relative_path(Path(folder) / REPORT))


@task(name="report-quarantine", cache_policy=NO_CACHE)
def report_quarantine(ingested: IngestRef) -> None:
    """Show the quarantined rows in Prefect: a summary by reason, and the first rows."""
    quarantine = store.read(ingested.quarantine)
    counts = f"{ingested.source}: {ingested.quarantine.rows} of {ingested.rows} rows quarantined"
    create_table_artifact(
        quarantine_summary(quarantine), key="quarantine-summary", description=counts
    )
    rows = quarantine.slice(0, SHOWN_ROWS).to_pylist()
    create_table_artifact(
        rows, key="quarantine-rows", description=f"{counts}; the first {len(rows)} are shown"
    )


@task(name="tag-flow-run", cache_policy=NO_CACHE)
def tag_flow_run(tags: list[str]) -> None:
    """Add tags to the flow run, but not to its task runs.

    Every tag of a task run costs the server a look-up of a concurrency limit.
    """
    with get_client(sync_client=True) as client:
        present = client.read_flow_run(flow_run.id).tags
        new = [tag for tag in tags if tag not in present]
        client.update_flow_run(flow_run.id, tags=[*present, *new])


@io_task("report")
def report(summary: Summary, evaluated: list[ScoresRef], figures: list[FiguresRef]) -> str:
    """Log the report to MLflow and create the Prefect artifacts; return the report's location."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw_stage_times(folder)
        folders = [*(store.locate(ref) for ref in (*evaluated, *figures)), folder]
        _log_report(summary, folders, folder)
        text = markdown(summary)
        connect().set_tag(summary.run.run_id, "mlflow.note.content", text)
        create_markdown_artifact(
            f"{text}\n{_genre_bars_markdown(folders)}",
            key="training-summary",
            description="Scores, promotion decision and next commands",
        )
    create_link_artifact(run_page(summary.run), "The run in MLflow", key="mlflow-run")
    create_link_artifact(report_page(summary.run), "The report in MLflow", key="report")
    return report_location(summary.run)


def _draw_stage_times(folder: Path) -> None:
    from tasks.reports import plots, run_plots  # loading matplotlib takes a while

    stages = wait_for_stage_times(str(flow_run.id), str(task_run.id))
    plots.save_figures({"stages": run_plots.stage_waterfall(stages)}, folder)


def _log_report(summary: Summary, folders: Sequence[Path], folder: Path) -> None:
    """Write the report of the figures and tables in `folders` to `folder`, and log both."""
    from tasks.reports import page

    client, run_id = connect(), summary.run.run_id
    quarantine = store.read(summary.ingested.quarantine)
    context = page.report_context(summary, client.get_run(run_id), quarantine)
    (folder / REPORT).write_text(page.render_html(context, folders), encoding="utf-8")
    client.log_artifact(run_id, str(folder / REPORT))
    for figure in folder.glob("*.png"):
        client.log_artifact(run_id, str(figure), "evaluation")


def _genre_bars_markdown(folders: Sequence[Path]) -> str:
    """The figure of F1 per genre as an embedded image."""
    from tasks.reports import page

    (file,) = (file for folder in folders for file in folder.glob("genre_bars.png"))
    return f"![F1 per genre]({page.to_image(file.read_bytes()).uri})\n"
