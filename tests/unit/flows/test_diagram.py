"""The diagram shows the edges that Prefect recorded."""

from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import TaskRun, TaskRunResult

from flows.diagram import END, START, inputs_of, mermaid, reduce_edges, write_diagram
from tasks.core.orchestration.task_inputs import PARENTS


def task_run(task: str, *sources: TaskRun, inside: TaskRun | None = None) -> TaskRun:
    """A run of a task that took the results of other runs, perhaps called by another."""
    inputs = {"values": [TaskRunResult(id=source.id) for source in sources]}
    parents = {PARENTS: [TaskRunResult(id=inside.id)]} if inside else {}
    return TaskRun(
        id=uuid4(),
        task_key=f"{task}-1a2b3c4d",
        dynamic_key="0",
        flow_run_id=UUID(int=1),
        task_inputs=inputs | parents,
    )


@pytest.fixture
def runs() -> list[TaskRun]:
    """A run of every task of a small flow, unordered; one calls a task for each of two chunks."""
    checked = task_run("check_source")
    read = task_run("read_source")
    ingested = task_run("ingest", inside=read)
    cleaned = task_run("clean", read)
    chunks = [task_run("clean_chunk", inside=cleaned) for _ in range(2)]
    fitted = task_run("fit", cleaned)
    tested = task_run("test", cleaned, fitted)
    tracked = task_run("track_test", checked, tested)
    return [tracked, tested, fitted, *chunks, cleaned, ingested, checked, read]


def test_edges_between_task_runs_are_edges_between_tasks(runs):
    assert inputs_of(runs) == {
        "track_test": {"check_source", "test"},
        "test": {"clean", "fit"},
        "fit": {"clean"},
        "clean": {"read_source"},
        "check_source": set(),
        "read_source": set(),
    }


def test_edges_that_a_longer_path_implies_and_tasks_without_the_source_are_left_out(runs):
    assert reduce_edges(inputs_of(runs)) == {
        "read_source": set(),
        "clean": {"read_source"},
        "fit": {"clean"},
        "test": {"fit"},
        "track_test": {"test"},
    }


def test_a_task_per_chunk_has_double_sides_and_one_that_tracks_round_ones(runs):
    assert mermaid(runs).splitlines() == [
        "flowchart LR",
        "    source[(source)] --> read_source",
        "    clean[[clean]]",
        "    track_test(track_test)",
        "    read_source --> clean",
        "    clean --> fit",
        "    fit --> test",
        "    test --> track_test",
    ]


def test_only_the_diagram_of_the_readme_is_replaced(runs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"Before.\n{START}an old diagram\n{END}\nAfter.\n")
    write_diagram(runs, readme)
    expected = f"Before.\n{START}```mermaid\n{mermaid(runs)}```\n{END}\nAfter.\n"
    assert readme.read_text() == expected
