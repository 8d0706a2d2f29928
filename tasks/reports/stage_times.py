"""Task runs of a flow run -> when each stage was running."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun, TaskRunResult
from prefect.client.schemas.sorting import TaskRunSort

from tasks.core.contracts import StageTime
from tasks.core.orchestration.task_inputs import PARENTS

CHUNK = "_chunk"  # end of the name of a function that processes one chunk
PAGE_SIZE = 200  # maximum task runs that the server returns per request
MAX_WAIT_SECONDS = 10  # the server records the end of a task with a delay


def stage_times(task_runs: Sequence[TaskRun], now: datetime) -> list[StageTime]:
    """Stages in the order of their starts; all chunks of a stage count as one.

    A stage that runs twice, with a pause between, has two spans. A running task lasts until `now`;
    tasks that have not started are left out. A task that calls others is shown by these, unless
    they are its chunks.
    """
    spans, chunks, calling = defaultdict(list), Counter[str](), calling_tasks(task_runs)
    for run in task_runs:
        if run.start_time and run.id not in calling:
            stage = stage_name(run)
            spans[stage].append((run.start_time.timestamp(), (run.end_time or now).timestamp()))
            chunks[stage] += is_chunk(run)
    origin = min((start for times in spans.values() for start, _ in times), default=0.0)
    stages = [
        StageTime(name, tuple(merged_spans(times, origin)), chunks[name] or len(times))
        for name, times in spans.items()
    ]
    return sorted(stages, key=lambda stage: stage.spans[0])


def function_name(run: TaskRun) -> str:
    """Name of the function that a task run executed."""
    return run.task_key.split("-")[0]


def stage_name(run: TaskRun) -> str:
    """Name of the stage of a task run: that of its task, for a chunk that of the whole."""
    return function_name(run).removesuffix(CHUNK).replace("_", "-")


def is_chunk(run: TaskRun) -> bool:
    """Whether a task run processed one chunk, inside of the run of its stage."""
    return function_name(run).endswith(CHUNK)


def calling_tasks(task_runs: Iterable[TaskRun]) -> set[UUID]:
    """Ids of the task runs that called other tasks, chunks aside."""
    called = (run for run in task_runs if not is_chunk(run))
    return {
        parent.id
        for run in called
        for parent in run.task_inputs.get(PARENTS, ())
        if isinstance(parent, TaskRunResult)
    }


def merged_spans(
    times: Sequence[tuple[float, float]], origin: float
) -> Iterator[tuple[float, float]]:
    """Starts and ends after `origin`; those that overlap are joined."""
    start, end = min(times)
    for next_start, next_end in sorted(times):
        if next_start > end:
            yield start - origin, end - origin
            start = next_start
        end = max(end, next_end)
    yield start - origin, end - origin


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
