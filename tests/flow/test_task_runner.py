"""Tasks take a thread when their inputs exist, and the first failure ends what waits."""

from concurrent.futures import Future, wait
from functools import partial
from threading import Event, Lock, Timer
from time import monotonic, sleep
from typing import Any

import pytest
from prefect import flow, task, unmapped
from prefect.client.orchestration import get_client

from flows.phases import task_runner
from flows.phases.task_runner import DataflowTaskRunner, DeferredFuture
from tasks.core.contracts import Ref, UserError
from tasks.core.heartbeat import heartbeat
from tasks.core.orchestration.progress import gather, progress_bar
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.orchestration.task_inputs import PARENTS
from tasks.reports.stage_times import read_task_runs
from tests.support.prefect_queues import SECONDS

pytestmark = pytest.mark.usefixtures("prefect_server")
LIMIT = 20  # seconds after which a flow counts as hanging
TWO_THREADS = DataflowTaskRunner(max_workers=2)


@task
def value(number: int) -> int:
    return number


@task
def wait_for_event(event: Event) -> int:
    assert event.wait(LIMIT)
    return 1


@task
def set_event(event: Event) -> None:
    event.set()


@task
def add(numbers: list[int]) -> int:
    return sum(numbers)


@task
def fail(*_: object) -> int:
    raise UserError("This source cannot be read.")


def test_tasks_that_wait_for_inputs_take_no_thread():
    """On Prefect's own runner the two threads are taken, and nothing sets the event."""

    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        event = Event()
        first = wait_for_event.submit(event)
        sums = [add.submit([first]), add.submit([first])]
        set_event.submit(event)
        return add.submit(sums).result()

    assert train() == 2


def test_no_more_tasks_run_at_a_time_than_there_are_threads():
    running, most, lock = 0, 0, Lock()

    @task
    def chunk(number: int, start: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        sleep(0.02)
        with lock:
            running -= 1
        return number + start

    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        start = value.submit(1)
        return add.submit(chunk.map(range(8), unmapped(start))).result()

    assert train() == sum(range(8)) + 8
    assert most == 2


def test_a_future_behind_a_failure_raises_the_error_of_the_task_that_failed():
    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        return add.submit([add.submit([fail.submit()])]).result()

    with pytest.raises(UserError, match=r"This source cannot be read\."):
        train()


def test_a_failure_ends_the_wait_for_tasks_that_do_not_depend_on_it():
    event = Event()

    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        slow = wait_for_event.submit(event)
        waiting = add.submit([slow])
        fail.submit()
        try:
            return waiting.result(timeout=LIMIT)
        finally:
            event.set()

    with pytest.raises(UserError, match=r"This source cannot be read\."):
        train()


def test_nothing_starts_after_a_failure():
    event, started = Event(), []

    @task
    def next_stage(_: int) -> None:
        started.append(True)

    @flow(task_runner=TWO_THREADS)
    def train() -> None:
        slow = wait_for_event.submit(event)
        next_stage.submit(slow)
        fail.submit().wait()
        late = next_stage.submit(value.submit(1))
        Timer(0.2, event.set).start()  # the slow task ends while the flow waits for its threads
        late.result()

    with pytest.raises(UserError):
        train()
    assert event.is_set()
    assert not started


def test_a_task_that_fails_among_hundreds_of_chunks_ends_the_flow():
    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        gate = fail.submit()
        chunks = value.map([gate] * 300)
        return add.submit(chunks).result()

    with pytest.raises(UserError):
        train()


def test_a_flow_that_raises_drops_queued_tasks_and_those_behind_them():
    event, started = Event(), []

    class Runner(DataflowTaskRunner):
        def __exit__(self, *exception: Any) -> None:
            Timer(1, event.set).start()  # the runner waits for the two tasks that run
            super().__exit__(*exception)

    @task
    def stage(_: object) -> None:
        started.append(True)

    @flow(task_runner=Runner(max_workers=2))
    def train() -> None:
        blocking = wait_for_event.map([event, event])
        futures = value.map(range(50))  # in the queue of the pool
        for _ in range(3):
            futures = stage.map(futures)
        assert not blocking[0].wrapped_future.done()
        raise UserError("The registry cannot be reached.")

    with pytest.raises(UserError, match=r"The registry cannot be reached\."):
        train()
    assert not started


def test_prefect_records_an_edge_for_every_input():
    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        total = add.submit(value.map([1, 2, 3]))
        return add.submit([total]).result()

    state = train(return_state=True)
    with get_client(sync_client=True) as client:
        deadline = monotonic() + SECONDS
        while len(runs := read_task_runs(client, str(state.state_details.flow_run_id))) < 5:
            assert monotonic() < deadline
            sleep(0.2)
    assert sorted(len(run.task_inputs.get("numbers", [])) for run in runs) == [0, 0, 0, 1, 3]
    assert not any(PARENTS in run.task_inputs for run in runs)  # which would hide a task in another


def test_a_signal_does_not_wait_for_running_tasks():
    """Prefect records the end of a cancelled run only after the runner has stopped."""
    event, futures = Event(), []

    def interrupted() -> None:
        with DataflowTaskRunner(max_workers=1) as runner:
            futures.append(runner.submit(wait_for_event, {"event": event}).wrapped_future)
            raise KeyboardInterrupt

    start = monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert monotonic() - start < LIMIT / 2
    event.set()
    wait(futures, LIMIT)  # its thread must not outlive the test's server


def test_a_silent_flow_writes_which_tasks_run_and_how_far(monkeypatch):
    lines, while_fitting, event = list[str](), list[str](), Event()
    monkeypatch.setattr("tasks.core.heartbeat.LOG_SECONDS", 0.1)
    monkeypatch.setattr("tasks.core.heartbeat.CHECK_SECONDS", 0.05)
    monkeypatch.setattr(task_runner, "heartbeat", partial(heartbeat, write=lines.append))

    @task(name="fit")
    def fit() -> None:
        with progress_bar("fit", 9, "epochs") as advance:
            advance(4)
            assert event.wait(LIMIT)

    @flow(task_runner=TWO_THREADS)
    def train() -> None:
        fitted = fit.submit()
        add.submit([fitted])
        while not any("4 of 9 epochs" in line for line in lines):
            sleep(0.05)
        while_fitting.extend(lines)  # later lines may name `add`
        event.set()
        fitted.result()

    train()
    assert any(line.startswith("Running: fit (4 of 9 epochs, ") for line in while_fitting)
    assert not any("add" in line for line in while_fitting)


def test_a_task_that_cannot_start_raises_instead_of_hanging():
    def stopped() -> Future[None]:
        raise RuntimeError("Task runner is not started")

    future = DeferredFuture("stopped", stopped, 0)
    with pytest.raises(RuntimeError, match="not started"):
        future.result(timeout=1)


@stage_task("double-chunk", "double-{number}")
def double_chunk(number: int) -> Ref:
    return Ref(paths=(f"{number}",), digest="", rows=2 * number)


@stage_task("double")
def double(numbers: list[int]) -> int:
    """Double each number in a task of its own."""
    return sum(ref.rows for ref in gather("double", double_chunk.map(numbers), len(numbers)))


def test_a_stage_waits_on_a_thread_for_the_tasks_of_its_chunks():
    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        return add.submit([double.submit([1, 2, 3])]).result()

    assert train() == 12


def test_a_failed_chunk_fails_its_stage_and_the_flow_with_its_error():
    @stage_task("break-chunk")
    def break_chunk(number: int) -> Ref:
        raise UserError(f"Chunk {number} is damaged.")

    @stage_task("break")
    def break_all(numbers: list[int]) -> list[Ref]:
        return gather("break", break_chunk.map(numbers), len(numbers))

    @flow(task_runner=TWO_THREADS)
    def train() -> int:
        return add.submit([break_all.submit([1, 2])]).result()

    with pytest.raises(UserError, match=r"Chunk [12] is damaged\."):
        train()
