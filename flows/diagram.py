"""Task runs of a training, as Prefect recorded them -> the diagram of `docs/architecture.md`.

Shown are the tasks that a result of `read_source` reaches: with double sides if they call a task
for each chunk, rounded if they write to Prefect or MLflow. An arrow leads from a task to one that
took its result, unless a longer path connects them. Tasks that other tasks call are not shown.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import TaskRun, TaskRunResult

from flows.config import TrainConfig
from flows.runtime.server import prefect_server
from flows.train import train
from tasks.core.orchestration.task_inputs import PARENTS
from tasks.registry.model_registry import FLOW_RUN_TAG
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.stage_times import CHUNK, is_chunk, read_task_runs
from tasks.reports.stage_times import function_name as task_name
from tasks.reports.summary import Summary

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
START, END = "<!-- diagram: python -m flows.diagram -->\n", "<!-- diagram end -->"
FIRST, LAST = "read_source", "report"
RECORDING = ("track_", "report", "register")
SECONDS_TO_RECORD = 30
#: Tasks by name, each with the names of the tasks whose results it took.
Inputs = dict[str, set[str]]
#: Several chunks and few epochs: the edges do not depend on the models.
QUICK = {
    "ingest": {"chunk_rows": 200},
    "doc2vec": {"epochs": 5, "min_words": 0},
    "classifier": {"epochs": 3},
}


def inputs_of(runs: Sequence[TaskRun]) -> Inputs:
    """The edges between task runs, without those inside of others, as edges between tasks."""
    shown = [run for run in runs if PARENTS not in run.task_inputs]
    names, inputs = {run.id: task_name(run) for run in shown}, Inputs()
    for run in shown:
        upstream = [part for parts in run.task_inputs.values() for part in parts]
        sources = {names[part.id] for part in upstream if isinstance(part, TaskRunResult)}
        inputs.setdefault(task_name(run), set()).update(sources)
    return inputs


def ancestors(inputs: Inputs, task: str) -> set[str]:
    """All tasks that a task waits for, directly or not."""
    return inputs[task].union(*(ancestors(inputs, source) for source in inputs[task]))


def reduce_edges(inputs: Inputs) -> Inputs:
    """Only tasks that depend on `FIRST`, without the edges that a longer path implies.

    A task comes after its inputs; otherwise the order is that of the number of ancestors.
    """
    reached = {task: ancestors(inputs, task) for task in inputs}
    shown = {task for task in inputs if FIRST in reached[task] or task == FIRST}
    order = sorted(shown, key=lambda task: (len(reached[task] & shown), task))
    return {
        task: (inputs[task] & shown) - set().union(*(reached[source] for source in inputs[task]))
        for task in order
    }


def mermaid(runs: Sequence[TaskRun]) -> str:
    """The diagram in Mermaid's language, left to right."""
    inputs = reduce_edges(inputs_of(runs))
    chunked = {task_name(run).removesuffix(CHUNK) for run in runs if is_chunk(run)}
    lines = ["flowchart LR", f"    source[(source)] --> {FIRST}"]
    lines += [f"    {task}[[{task}]]" for task in inputs if task in chunked]
    lines += [f"    {task}({task})" for task in inputs if task.startswith(RECORDING)]
    for task in inputs:
        targets = [target for target, sources in inputs.items() if task in sources]
        lines += [f"    {task} --> {' & '.join(targets)}"] if targets else []
    return "\n".join(lines) + "\n"


def write_diagram(runs: Sequence[TaskRun], page: Path = PAGE) -> None:
    """Replace the diagram of a page."""
    before, after = page.read_text(encoding="utf-8").split(START)
    diagram = f"```mermaid\n{mermaid(runs)}```\n"
    page.write_text(f"{before}{START}{diagram}{END}{after.split(END)[1]}", encoding="utf-8")


def recorded_task_runs(summary: Summary) -> list[TaskRun]:
    """All task runs of a training; the server records their ends in order, with some delay."""
    flow_run = connect().get_run(summary.run.run_id).data.tags[FLOW_RUN_TAG]
    deadline = time.monotonic() + SECONDS_TO_RECORD
    with get_client(sync_client=True) as client:
        while True:
            runs = read_task_runs(client, flow_run)
            ended = {task_name(run) for run in runs if run.end_time}
            if LAST in ended or time.monotonic() > deadline:
                return runs
            time.sleep(0.5)


def main() -> None:
    """Train twice on the sample, so that the second run has a champion to compare with."""
    config = TrainConfig.model_validate(QUICK)
    with tempfile.TemporaryDirectory() as folder, prefect_server():
        os.environ["RECOMMENDER_ARTIFACTS"] = folder
        train(config)
        summary = train(config)
        assert isinstance(summary, Summary)  # noqa: S101 - only a skipped run returns a text
        write_diagram(recorded_task_runs(summary))


if __name__ == "__main__":
    main()
