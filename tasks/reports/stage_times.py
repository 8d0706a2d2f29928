"""Task runs of a flow run -> when each stage ran."""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from tasks.core.contracts import StageTime

PAGE = 200  # task runs that a server gives at once
SECONDS_TO_RECORD = 10  # a server hears of a task's end by an event, some time after it


def stage_times(tasks: Sequence[TaskRun], now: datetime) -> list[StageTime]:
    """Stages in the order of their starts, the chunks of one together.

    One that has not ended lasts until `now`; one that has not begun is left out.
    """
    spans = defaultdict(list)
    for one in tasks:
        if one.start_time:
            name = one.task_key.split("-")[0].replace("_", "-")
            spans[name].append((one.start_time.timestamp(), (one.end_time or now).timestamp()))
    first = min((start for of in spans.values() for start, _ in of), default=0.0)
    found = [
        StageTime(name, min(starts) - first, max(ends) - first, len(of))
        for name, of in spans.items()
        for starts, ends in [zip(*of, strict=True)]
    ]
    return sorted(found, key=lambda stage: stage.start)


def read_task_runs(client: SyncPrefectClient, flow_run: str) -> list[TaskRun]:
    """All tasks of a flow run that the server knows of."""
    of = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    found: list[TaskRun] = []
    while len(found) % PAGE == 0:
        page = client.read_task_runs(
            flow_run_filter=of, sort=TaskRunSort.ID_DESC, limit=PAGE, offset=len(found)
        )
        if not page:
            break
        found += page
    return found


def is_complete(tasks: Sequence[TaskRun], asking: str) -> bool:
    """Whether the server has heard of the task that asks, and of the ends of all before it."""
    return any(str(one.id) == asking for one in tasks) and all(
        one.end_time or str(one.id) == asking for one in tasks
    )


def wait_for_stage_times(flow_run: str, asking: str) -> list[StageTime]:
    """When each stage of a flow run ran, read by a task of it once the server knows, or after ten
    seconds; none where it has heard of no task by then."""
    deadline = time.monotonic() + SECONDS_TO_RECORD
    with get_client(sync_client=True) as client:
        while True:
            found = read_task_runs(client, flow_run)
            if is_complete(found, asking) or time.monotonic() > deadline:
                return stage_times(found, datetime.now(UTC))
            time.sleep(0.5)
