from datetime import UTC, datetime, timedelta

from prefect.client.schemas.objects import TaskRun

from tasks.core.contracts import StageTime
from tasks.reports.stage_times import is_complete, stage_times

START = datetime(2026, 1, 1, tzinfo=UTC)


def ran(name: str, start: float | None, end: float | None) -> TaskRun:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else START + timedelta(seconds=seconds)

    return TaskRun(task_key=f"{name}-0a1b", dynamic_key="0", start_time=at(start), end_time=at(end))


def test_chunks_of_a_stage_are_one_bar_from_the_first_s_start_to_the_last_s_end():
    tasks = [ran("embed", 7, 9), ran("check_drift", 5, 6), ran("embed", 6, 8)]
    assert stage_times(tasks, START) == [
        StageTime("check-drift", 0, 1, 1),
        StageTime("embed", 1, 4, 2),
    ]


def test_a_stage_at_work_lasts_until_now_and_one_not_begun_is_left_out():
    tasks = [ran("report", 1, None), ran("retire", None, None)]
    assert stage_times(tasks, START + timedelta(seconds=4)) == [StageTime("report", 0, 3, 1)]
    assert stage_times([], START) == []


def test_all_is_told_once_the_asking_task_is_known_and_all_others_have_ended():
    asking, other = ran("report", 1, None), ran("embed", 0, 1)
    assert is_complete([asking, other], str(asking.id))
    assert not is_complete([other], str(asking.id))
    assert not is_complete([], str(asking.id))
    assert not is_complete([asking, ran("embed", 0, None)], str(asking.id))
