"""The task runner of the flows: a task takes a thread only when all of its inputs exist."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import RLock
from types import TracebackType
from typing import Any
from uuid import uuid4

from prefect import State, Task
from prefect.context import TaskRunContext
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.collections import visit_collection

from tasks.core.heartbeat import heartbeat
from tasks.core.orchestration.progress import describe_stages

#: Bounds memory: four chunks are processed at a time, however long the source is, and the task of
#: their stage waits for them.
TASK_THREADS = 5
AnyFuture = PrefectConcurrentFuture[Any]


def futures_in(values: Any) -> list[AnyFuture]:
    """All futures in nested parameters of a task."""
    futures: list[AnyFuture] = []

    def collect(value: Any) -> None:
        if isinstance(value, PrefectConcurrentFuture):
            futures.append(value)

    visit_collection(values, collect, return_data=False)
    return futures


def has_raised(future: "Future[Any]") -> bool:
    """Whether a finished future was cancelled or raised, and so has no state."""
    return future.cancelled() or bool(future.exception())


def has_failed(future: "Future[Any]") -> bool:
    """Whether a finished future has no state, or that of a failed task."""
    return has_raised(future) or not future.result().is_completed()


class DeferredFuture(PrefectConcurrentFuture[Any]):
    """Future of a task that is handed to the thread pool when its last input is complete."""

    def __init__(self, name: str, start: Callable[[], AnyFuture], inputs: int) -> None:
        super().__init__(uuid4(), Future())
        self.name, self.is_started = name, False
        self.is_part = TaskRunContext.get() is not None  # of the task that submits it
        self._start, self._missing_inputs, self._lock = start, inputs, RLock()
        if not inputs:
            self.start()

    @property
    def state(self) -> State[Any]:
        """The state; of a finished task the final one, which the server learns of later.

        Prefect takes a task for a part of an input that seems to be running, and its page hides it
        there.
        """
        if self.wrapped_future.done() and not has_raised(self.wrapped_future):
            final: State[Any] = self.wrapped_future.result()
            return final
        return super().state

    def start(self) -> None:
        """Hand the task to the pool."""
        self.is_started = True
        try:
            running = self._start()
        except Exception as error:  # raised in a callback, it would leave this future unfinished
            self.wrapped_future.set_exception(error)
            return
        self._task_run_id = running.task_run_id
        running.wrapped_future.add_done_callback(self.finish_as)

    def input_finished(self, upstream: "Future[Any]") -> None:
        """Start after the last input, or end as an input did that failed.

        A cancelled input must not start anything: the pool cancels under a lock that a start needs.
        """
        if has_failed(upstream):
            self.finish_as(upstream)
            return
        with self._lock:
            self._missing_inputs -= 1
            is_ready = not self._missing_inputs and not self.wrapped_future.done()
        if is_ready:
            self.start()

    def finish_as(self, other: "Future[Any]") -> None:
        """Take over the outcome of a finished future, unless this one is finished already."""
        with suppress(InvalidStateError):
            if other.cancelled():
                self.wrapped_future.cancel()
            elif error := other.exception():
                self.wrapped_future.set_exception(error)
            else:
                self.wrapped_future.set_result(other.result())


class DataflowTaskRunner(ThreadPoolTaskRunner[Any]):
    """Prefect's thread pool for flows that submit tasks before their inputs exist.

    Prefect's own runner lets a submitted task wait for its inputs on a thread of the pool: with
    few threads, chunks would wait for tasks that wait. It also runs tasks whose inputs complete
    after the flow has failed, and reports a failed input as `UnfinishedRun`. Here the first
    failure finishes every unfinished future with that failure, and nothing starts after it.
    """

    def __enter__(self) -> "DataflowTaskRunner":
        self._failure: Future[Any] | None = None
        self._unfinished: set[DeferredFuture] = set()
        self._state_lock = RLock()
        super().__enter__()
        self._heartbeat = heartbeat(self.describe_running)
        self._heartbeat.__enter__()
        return self

    def describe_running(self) -> str:
        """The tasks that run, with their progress where it is known, without the tasks in them."""
        with self._state_lock:
            running = [one for one in self._unfinished if one.is_started]
        names = [one.name for one in running if not one.is_part]
        return f"Running: {describe_stages(names)}".removesuffix(": ")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for running tasks, except where a signal ends the flow: its state comes first."""
        self._heartbeat.__exit__(None, None, None)
        if exc_type and not issubclass(exc_type, Exception) and self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> DeferredFuture:
        """Start the task when the futures in its parameters and in `wait_for` are complete."""
        inputs = futures_in((parameters, wait_for))
        submit = partial(super().submit, task, parameters, wait_for, dependencies)
        future = DeferredFuture(task.name, partial(copy_context().run, submit), len(inputs))
        with self._state_lock:
            self._unfinished.add(future)
            failure = self._failure
        if failure:
            future.finish_as(failure)
        future.wrapped_future.add_done_callback(lambda _: self._on_finished(future))
        for upstream in inputs:
            upstream.wrapped_future.add_done_callback(future.input_finished)
        return future

    def _on_finished(self, future: DeferredFuture) -> None:
        with self._state_lock:
            self._unfinished.discard(future)
            if self._failure or not has_failed(future.wrapped_future):
                return
            self._failure = future.wrapped_future
            unfinished = list(self._unfinished)
        for other in unfinished:
            other.finish_as(self._failure)

    def _warn_if_nested_submit_would_deadlock(self, task: Task[..., Any]) -> None:
        """No warning: the thread that starts a task is that of its last input, which has ended."""
