"""Inputs of a task run -> those that Prefect's page draws as arrows: direct ones, each once.

An input that another input waited for needs no arrow of its own. The page hides all arrows above
500, and counts an arrow once for every parameter of the task that it starts from; parameters
without an input, such as settings, are therefore left out. A task that another task calls is drawn
inside of it: to the tasks outside, both are one.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import TaskRunResult
from prefect.context import TaskRunContext

PARENTS = "__parents__"  # the task that called this one
Inputs = Mapping[str, Sequence[Any]]
#: The task runs of this process: all that each came after, and the one that each is inside of.
_earlier: dict[UUID, frozenset[UUID]] = {}
_outer: dict[UUID, UUID] = {}


def record_direct_inputs() -> None:
    """Leave the inputs of the current task run that are not direct out of its record.

    Prefect sends the record again when the run ends; until then it has all inputs.
    """
    if context := TaskRunContext.get():
        task_run = context.task_run
        task_run.task_inputs = direct_inputs(task_run.id, task_run.task_inputs)


def direct_inputs(task_run: UUID, inputs: Inputs) -> dict[str, list[Any]]:
    """The inputs of a task run by parameter, without those that others of them came after."""
    parents = [parent.id for parent in inputs.get(PARENTS, ())]
    if parents:
        _outer[task_run] = parents[0]
    outermost = {
        name: [_seen_from(task_run, value) for value in values]
        for name, values in inputs.items()
        if name != PARENTS
    }
    sources = {one.id for values in outermost.values() for one in values if _is_task_run(one)}
    implied = frozenset[UUID]().union(*(_earlier.get(one, ()) for one in [*parents, *sources]))
    _earlier[task_run] = implied | sources
    drawn, direct = set(implied), dict[str, list[Any]]()
    for name, values in outermost.items():
        direct[name] = [one for one in values if not (_is_task_run(one) and one.id in drawn)]
        drawn |= {one.id for one in direct[name] if _is_task_run(one)}
    direct[PARENTS] = list(inputs.get(PARENTS, ()))
    return {name: values for name, values in direct.items() if values}


def _seen_from(task_run: UUID, task_input: Any) -> Any:
    """An input; of nested task runs, the outermost that `task_run` is not inside of."""
    if not _is_task_run(task_input):
        return task_input
    around, source = _outer_runs(task_run), task_input.id
    while source in _outer and _outer[source] not in around:
        source = _outer[source]
    return TaskRunResult(id=source)


def _outer_runs(task_run: UUID) -> set[UUID]:
    outer = set[UUID]()
    while task_run in _outer:
        task_run = _outer[task_run]
        outer.add(task_run)
    return outer


def _is_task_run(task_input: Any) -> bool:
    return isinstance(task_input, TaskRunResult)
