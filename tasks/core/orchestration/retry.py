"""Tasks that use the network: retried on transient errors only."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from tasks.core.contracts import UnreachableError
from tasks.core.orchestration.task_inputs import record_direct_inputs

P = ParamSpec("P")
R = TypeVar("R")
RETRY_DELAYS = [2.0, 10.0]  # seconds before the second and third try, before jitter
TRANSIENT_CODES = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task may succeed if retried: a connection or server error."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, UnreachableError):
        return True
    code = getattr(error, "error_code", None)  # MLflow's; importing its class takes a second
    if code is not None:
        return code in TRANSIENT_CODES
    is_path_error = isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError)
    return isinstance(error, OSError) and not is_path_error


def retry_options() -> dict[str, Any]:
    """Options of a Prefect task with three tries, whose retries need `is_transient`.

    The delays have jitter: they are up to 50% longer.
    """
    return {
        "retries": len(RETRY_DELAYS),
        "retry_delay_seconds": RETRY_DELAYS,
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": is_transient,
    }


def io_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Decorator for a Prefect task that uses the network: it is retried by `retry_options`."""

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            record_direct_inputs()
            return function(*args, **kwargs)

        return Task(run, name=name, task_run_name=name, cache_policy=NO_CACHE, **retry_options())

    return decorate
