"""Outcome of a run -> Prefect artifacts, and the HTML report in MLflow."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.runtime import flow_run, task_run

from tasks.core.contracts import FiguresRef, RunRef, ScoresRef
from tasks.core.orchestration.retry import io_task
from tasks.core.storage import store
from tasks.registry.model_registry import MODEL
from tasks.registry.tracking.length_limits import shorten
from tasks.registry.tracking.mlflow_client import connect
from tasks.registry.tracking.runs import REPORT
from tasks.reports.model_card import DESCRIPTION_LENGTH, MODEL_CARD, model_card
from tasks.reports.stage_times import wait_for_stage_times
from tasks.reports.summary import (
    Summary,
    markdown,
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


@io_task("report")
def report(summary: Summary, evaluated: list[ScoresRef], figures: list[FiguresRef]) -> str:
    """Log the report to MLflow and create the Prefect artifacts; return the report's location."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw_stage_times(folder)
        folders = [*(store.locate(ref) for ref in (*evaluated, *figures)), folder]
        _log_report(summary, folders, folder)
        _log_model_card(summary, folders)
        text = markdown(summary)
        connect().set_tag(summary.run.run_id, "mlflow.note.content", text)
        create_markdown_artifact(
            f"{text}\n{_genre_bars_markdown(folders)}",
            key="training-summary",
            description="Scores, the promotion decision, and commands to go on with.",
        )
    create_links(summary.run)
    return report_location(summary.run)


def create_links(run: RunRef) -> None:
    """Link the MLflow run and its report in Prefect."""
    create_link_artifact(
        run_page(run),
        "The run in MLflow",
        key="mlflow-run",
        description="The MLflow run with all settings, metrics and files of this run.",
    )
    create_link_artifact(
        report_page(run),
        "The report in MLflow",
        key="report",
        description="The HTML report of this run, with its verdict first.",
    )


def _draw_stage_times(folder: Path) -> None:
    from tasks.reports import plots, run_plots  # loading matplotlib takes a while

    stages = wait_for_stage_times(str(flow_run.id), str(task_run.id))
    plots.save_figures({"stages": run_plots.stage_waterfall(stages)}, folder)


def _log_report(summary: Summary, folders: Sequence[Path], folder: Path) -> None:
    """Write the report of the figures and tables in `folders` to `folder`, and log both."""
    from tasks.reports import page

    client, run_id = connect(), summary.run.run_id
    quarantine = store.read(summary.ingested.quarantine)
    comparisons = _optional_table(folders, "gate")
    context = page.report_context(summary, client.get_run(run_id), quarantine, comparisons)
    (folder / REPORT).write_text(page.render_html(context, folders), encoding="utf-8")
    client.log_artifact(run_id, str(folder / REPORT))
    for figure in folder.glob("*.png"):
        client.log_artifact(run_id, str(figure), "evaluation")


def _log_model_card(summary: Summary, folders: Sequence[Path]) -> None:
    """Log the card with the run, and set it as the description of the registered version."""
    genres, slices = (_table(folders, name) for name in ("genres", "slices"))
    card = model_card(summary, genres, slices)
    client = connect()
    client.log_text(summary.run.run_id, card, MODEL_CARD)
    description = shorten(card, DESCRIPTION_LENGTH)
    client.update_model_version(MODEL, summary.model_version, description)


def _table(folders: Sequence[Path], name: str) -> list[dict[str, Any]]:
    rows = _optional_table(folders, name)
    if rows is None:
        raise FileNotFoundError(f"{name}.parquet")
    return rows


def _optional_table(folders: Sequence[Path], name: str) -> list[dict[str, Any]] | None:
    """Rows of a stored table, None if no folder has it; of several, the last counts."""
    files = [file for folder in folders for file in folder.glob(f"{name}.parquet")]
    return pq.read_table(files[-1]).to_pylist() if files else None


def _genre_bars_markdown(folders: Sequence[Path]) -> str:
    """The figure of F1 per genre as an embedded image."""
    from tasks.reports.page_parts import to_image

    (file,) = (file for folder in folders for file in folder.glob("genre_bars.png"))
    image = to_image(file.read_bytes())
    return f"![{image.description or 'F1 per genre'}]({image.uri})\n"
