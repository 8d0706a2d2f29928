from datetime import UTC, datetime, timedelta

from prefect.client.schemas.objects import TaskRun

from tasks.core.contracts import StageTime
from tasks.reports.stage_times import is_complete, stage_times

START = datetime(2026, 1, 1, tzinfo=UTC)


def task_run(name: str, start: float | None, end: float | None) -> TaskRun:
    def time_after(seconds: float | None) -> datetime | None:
        return None if seconds is None else START + timedelta(seconds=seconds)

    return TaskRun(
        task_key=f"{name}-0a1b",
        dynamic_key="0",
        start_time=time_after(start),
        end_time=time_after(end),
    )


def test_chunks_of_a_stage_count_as_one_stage():
    runs = [task_run("embed", 7, 9), task_run("check_drift", 5, 6), task_run("embed", 6, 8)]
    assert stage_times(runs, START) == [
        StageTime("check-drift", 0, 1, 1),
        StageTime("embed", 1, 4, 2),
    ]


def test_running_stage_lasts_until_now_and_pending_stage_is_left_out():
    runs = [task_run("report", 1, None), task_run("retire", None, None)]
    assert stage_times(runs, START + timedelta(seconds=4)) == [StageTime("report", 0, 3, 1)]
    assert stage_times([], START) == []


def test_record_is_complete_when_all_tasks_but_the_reading_one_have_ended():
    reading, other = task_run("report", 1, None), task_run("embed", 0, 1)
    assert is_complete([reading, other], str(reading.id))
    assert not is_complete([other], str(reading.id))
    assert not is_complete([], str(reading.id))
    assert not is_complete([reading, task_run("embed", 0, None)], str(reading.id))
