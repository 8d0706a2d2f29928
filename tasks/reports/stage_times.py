"""Task runs of a flow run -> start and end of each stage."""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from tasks.core.contracts import StageTime

PAGE_SIZE = 200  # maximum task runs that the server returns per request
MAX_WAIT_SECONDS = 10  # the server records the end of a task with a delay


def stage_times(task_runs: Sequence[TaskRun], now: datetime) -> list[StageTime]:
    """Stages in the order of their starts; all chunks of a stage count as one.

    A running task lasts until `now`; tasks that have not started are left out.
    """
    spans = defaultdict(list)
    for run in task_runs:
        if run.start_time:
            stage = run.task_key.split("-")[0].replace("_", "-")
            spans[stage].append((run.start_time.timestamp(), (run.end_time or now).timestamp()))
    origin = min((start for times in spans.values() for start, _ in times), default=0.0)
    stages = [
        StageTime(
            name=stage,
            start=min(start for start, _ in times) - origin,
            end=max(end for _, end in times) - origin,
            tasks=len(times),
        )
        for stage, times in spans.items()
    ]
    return sorted(stages, key=lambda stage: stage.start)


def read_task_runs(client: SyncPrefectClient, flow_run_id: str) -> list[TaskRun]:
    """All task runs of a flow run that the server has recorded."""
    flow_run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    task_runs: list[TaskRun] = []
    while len(task_runs) % PAGE_SIZE == 0:
        page = client.read_task_runs(
            flow_run_filter=flow_run_filter,
            sort=TaskRunSort.ID_DESC,
            limit=PAGE_SIZE,
            offset=len(task_runs),
        )
        if not page:
            break
        task_runs += page
    return task_runs


def is_complete(task_runs: Sequence[TaskRun], reading_task_id: str) -> bool:
    """Whether the reading task is recorded, and the end of every other task is recorded."""
    recorded = any(str(run.id) == reading_task_id for run in task_runs)
    return recorded and all(run.end_time or str(run.id) == reading_task_id for run in task_runs)


def wait_for_stage_times(flow_run_id: str, reading_task_id: str) -> list[StageTime]:
    """Stage times of a flow run, read by one of its tasks.

    Waits until the server has recorded all tasks, at most MAX_WAIT_SECONDS; then those recorded so
    far are returned, maybe none.
    """
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    with get_client(sync_client=True) as client:
        while True:
            task_runs = read_task_runs(client, flow_run_id)
            if is_complete(task_runs, reading_task_id) or time.monotonic() > deadline:
                return stage_times(task_runs, datetime.now(UTC))
            time.sleep(0.5)
