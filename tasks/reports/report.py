"""The outcome of a run -> Prefect artifacts, and the report in MLflow."""

import tempfile
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


def report_place(run: RunRef) -> str:
    """The report's file where it lies on this machine, else its page in MLflow."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = connect().get_run(run.run_id).info.artifact_uri
    if not root.startswith(("file:", "/")):
        return report_page(run)
    folder = local_file_uri_to_path(root)  # type: ignore[no-untyped-call]
    return str(relative_path(Path(folder) / REPORT))


@task(name="report-quarantine", cache_policy=NO_CACHE)
def report_quarantine(ingested: IngestRef) -> None:
    """Show in Prefect what was quarantined: a summary by reason, and the first of the rows."""
    quarantine = store.read(ingested.quarantine)
    of = f"{ingested.source}: {ingested.quarantine.rows} of {ingested.rows} rows quarantined"
    create_table_artifact(quarantine_summary(quarantine), key="quarantine-summary", description=of)
    rows = quarantine.slice(0, SHOWN_ROWS).to_pylist()
    shown = f"{of}, the first {len(rows)} shown"
    create_table_artifact(rows, key="quarantine-rows", description=shown)


@task(name="tag-flow-run", cache_policy=NO_CACHE)
def tag_flow_run(tags: list[str]) -> None:
    """Add tags to the flow run alone: on task runs, each tag would be asked for a free writer."""
    with get_client(sync_client=True) as client:
        kept = client.read_flow_run(flow_run.id).tags
        client.update_flow_run(flow_run.id, tags=[*kept, *(t for t in tags if t not in kept)])


@io_task("report")
def report(summary: Summary, evaluated: list[ScoresRef], figures: list[FiguresRef]) -> str:
    """Write the run's report to MLflow, and show its scores and where to look in Prefect.

    The report's place comes back.
    """
    from tasks.reports import (
        page,  # plotting takes a while to load
        plots,
        run_plots,
    )

    client, run = connect(), summary.run
    logged = client.get_run(run.run_id)
    with tempfile.TemporaryDirectory() as name:
        own = Path(name)
        plots.save(
            {
                "stages": run_plots.stage_waterfall(
                    wait_for_stage_times(str(flow_run.id), str(task_run.id))
                )
            },
            own,
        )
        folders = [*(store.locate(ref) for ref in (*evaluated, *figures)), own]
        quarantine = store.read(summary.ingested.quarantine)
        facts = page.report_context(summary, logged, quarantine)
        (own / REPORT).write_text(page.render_html(facts, folders), encoding="utf-8")
        client.log_artifact(run.run_id, str(own / REPORT))
        for figure in own.glob("*.png"):
            client.log_artifact(run.run_id, str(figure), "evaluation")
        text = markdown(summary)
        client.set_tag(run.run_id, "mlflow.note.content", text)
        (bars,) = (file for folder in folders for file in folder.glob("genre_bars.png"))
        whole = f"{text}\n![F1 by genre]({page.to_image(bars.read_bytes()).uri})\n"
    create_markdown_artifact(whole, key="training-summary", description="Scores")
    create_link_artifact(run_page(run), "The run in MLflow", key="mlflow-run")
    create_link_artifact(report_page(run), "The report in MLflow", key="report")
    return report_place(run)
