"""Tasks that talk to other machines: tried again where that may help, and only there."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from tasks.core.contracts import UnreachableError

P = ParamSpec("P")
R = TypeVar("R")
RETRY_DELAYS = [2.0, 10.0]  # seconds before the second and the third try, up to half as long again
TRANSIENT_CODES = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether an error is one of a connection or a server, and not of what was asked."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, UnreachableError):
        return True
    code = getattr(error, "error_code", None)  # MLflow's, whose import would take a second
    if code is not None:
        return code in TRANSIENT_CODES
    missing = isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError)
    return isinstance(error, OSError) and not missing


def io_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task that is tried three times, with jitter, where its error `may_pass`."""

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        found: Task[P, R] = task(
            name=name,
            cache_policy=NO_CACHE,
            retries=len(RETRY_DELAYS),
            retry_delay_seconds=RETRY_DELAYS,
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
        )(function)
        return found

    return decorate
