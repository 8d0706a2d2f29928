from datetime import UTC, datetime, timedelta

from prefect.client.schemas.objects import TaskRun, TaskRunResult

from tasks.core.contracts import StageTime
from tasks.core.orchestration.task_inputs import PARENTS
from tasks.reports.stage_times import is_complete, stage_times

START = datetime(2026, 1, 1, tzinfo=UTC)


def task_run(
    name: str, start: float | None, end: float | None, inside: TaskRun | None = None
) -> TaskRun:
    """A run of a task, in seconds after START, perhaps called by another."""

    def time_after(seconds: float | None) -> datetime | None:
        return None if seconds is None else START + timedelta(seconds=seconds)

    return TaskRun(
        task_key=f"{name}-0a1b",
        dynamic_key="0",
        start_time=time_after(start),
        end_time=time_after(end),
        task_inputs={PARENTS: [TaskRunResult(id=inside.id)]} if inside else {},
    )


def test_chunks_of_a_stage_count_as_one_stage():
    embed = task_run("embed", 6, 9)
    chunks = [task_run("embed_chunk", start, start + 2, embed) for start in (7, 6)]
    runs = [chunks[0], task_run("label", 5, 6), embed, chunks[1]]
    assert stage_times(runs, START) == [
        StageTime("label", ((0, 1),), 1),
        StageTime("embed", ((1, 4),), 2),
    ]


def test_a_task_that_calls_others_is_shown_by_these():
    read = task_run("read_source", 0, 5)
    runs = [read, task_run("ingest", 1, 2, read), task_run("check_drift", 2, 5, read)]
    assert [stage.name for stage in stage_times(runs, START)] == ["ingest", "check-drift"]


def test_a_stage_that_runs_twice_has_two_spans():
    runs = [task_run("find_opponents", 8, 9), task_run("find_opponents", 0, 1)]
    (stage,) = stage_times(runs, START)
    assert (stage.spans, stage.seconds) == (((0, 1), (8, 9)), 2)


def test_running_stage_lasts_until_now_and_pending_stage_is_left_out():
    runs = [task_run("report", 1, None), task_run("retire", None, None)]
    assert stage_times(runs, START + timedelta(seconds=4)) == [StageTime("report", ((0, 3),), 1)]
    assert stage_times([], START) == []


def test_record_is_complete_when_all_tasks_but_the_reading_one_have_ended():
    reading, other = task_run("report", 1, None), task_run("embed", 0, 1)
    assert is_complete([reading, other], str(reading.id))
    assert not is_complete([other], str(reading.id))
    assert not is_complete([], str(reading.id))
    assert not is_complete([reading, task_run("embed", 0, None)], str(reading.id))
