"""The diagram shows the edges that Prefect recorded."""

from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import TaskRun, TaskRunResult

from flows.diagram import END, START, inputs_of, mermaid, reduce_edges, write_diagram


def task_run(task: str, *sources: TaskRun) -> TaskRun:
    """A run of a task that took the results of other runs."""
    return TaskRun(
        id=uuid4(),
        task_key=f"{task}-1a2b3c4d",
        dynamic_key="0",
        flow_run_id=UUID(int=1),
        task_inputs={"values": [TaskRunResult(id=source.id) for source in sources]},
    )


@pytest.fixture
def runs() -> list[TaskRun]:
    """A run of every task of a small flow, two of the one that runs per chunk; unordered."""
    opened = task_run("open_run")
    ingested = task_run("ingest")
    cleaned = [task_run("clean", ingested), task_run("clean", ingested)]
    fitted = task_run("fit", *cleaned)
    tested = task_run("test", *cleaned, fitted)
    return [task_run("track_test", opened, tested), tested, fitted, *cleaned, opened, ingested]


def test_edges_between_task_runs_are_edges_between_tasks(runs):
    assert inputs_of(runs) == {
        "track_test": {"open_run", "test"},
        "test": {"clean", "fit"},
        "fit": {"clean"},
        "clean": {"ingest"},
        "open_run": set(),
        "ingest": set(),
    }


def test_edges_that_a_longer_path_implies_and_tasks_without_the_source_are_left_out(runs):
    assert reduce_edges(inputs_of(runs)) == {
        "ingest": set(),
        "clean": {"ingest"},
        "fit": {"clean"},
        "test": {"fit"},
        "track_test": {"test"},
    }


def test_a_task_per_chunk_has_double_sides_and_one_that_tracks_round_ones(runs):
    assert mermaid(runs).splitlines() == [
        "flowchart LR",
        "    source[(source)] --> ingest",
        "    clean[[clean]]",
        "    track_test(track_test)",
        "    ingest --> clean",
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
