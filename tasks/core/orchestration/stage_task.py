"""Decorator of Prefect tasks that are stages: their names, their edges, and the state `Cached`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.states import Completed

from tasks.core.orchestration.look_ups import recorded_look_ups
from tasks.core.orchestration.task_inputs import record_direct_inputs

P = ParamSpec("P")
R = TypeVar("R")
CACHED = "Cached"
MESSAGE = "Its output was stored by an earlier run"


class StageTask(Task[P, R]):
    """A task that returns its value when it is called, also if its function returns a state."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the task; its state where `return_state` is set."""
        result = super().__call__(*args, **kwargs)
        if isinstance(result, State) and not kwargs.get("return_state"):
            return result.result()
        return result


def stage_task(
    name: str, run_name: str | None = None, **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Decorator for a Prefect task whose runs have its name, or `run_name`, without a suffix.

    A run whose look-ups in the store all had a result ends in the state `Cached`. `options` are
    those of Prefect's tasks.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            record_direct_inputs()
            with recorded_look_ups() as look_ups:
                result = function(*args, **kwargs)
            if not TaskRunContext.get() or not look_ups or not all(look_ups):
                return result
            return Completed(name=CACHED, message=MESSAGE, data=result)  # type: ignore[return-value]

        return StageTask(
            run, name=name, task_run_name=run_name or name, cache_policy=NO_CACHE, **options
        )

    return decorate
