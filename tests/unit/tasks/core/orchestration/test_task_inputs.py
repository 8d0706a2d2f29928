from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import TaskRunResult

from tasks.core.orchestration import task_inputs
from tasks.core.orchestration.task_inputs import PARENTS, direct_inputs


@pytest.fixture(autouse=True)
def no_earlier_runs(monkeypatch) -> None:
    monkeypatch.setattr(task_inputs, "_earlier", {})
    monkeypatch.setattr(task_inputs, "_outer", {})


def ran(**inputs: list[UUID]) -> UUID:
    """A task run with these inputs by parameter; `inside` is the one that called it."""
    return recorded(**inputs)[0]


def recorded(**inputs: list[UUID]) -> tuple[UUID, dict[str, list[UUID]]]:
    """A task run, and its direct inputs."""
    run = uuid4()
    named = {PARENTS if name == "inside" else name: runs for name, runs in inputs.items()}
    parents: dict[str, list[Any]] = {
        name: [TaskRunResult(id=one) for one in runs] for name, runs in named.items()
    }
    direct = direct_inputs(run, parents)
    return run, {name: [one.id for one in runs] for name, runs in direct.items()}


def test_an_input_that_another_one_came_after_is_left_out():
    read = ran()
    cleaned = ran(movies=[read])
    fitted = ran(documents=[cleaned])
    _, inputs = recorded(movies=[read], documents=[cleaned], model=[fitted])
    assert inputs == {"model": [fitted]}


def test_inputs_that_know_nothing_of_each_other_stay():
    read = ran()
    first, second = ran(movies=[read]), ran(movies=[read])
    _, inputs = recorded(a=[first], b=[second])
    assert inputs == {"a": [first], "b": [second]}


def test_a_task_run_is_the_input_of_one_parameter_alone():
    read = ran()
    _, inputs = recorded(movies=[read], wait_for=[read])
    assert inputs == {"movies": [read]}


def test_a_parameter_without_an_input_is_left_out():
    """The page counts an arrow for every parameter of the task that it starts from."""
    _, inputs = recorded(config=[], compute=[])
    assert inputs == {}


def test_to_tasks_outside_a_task_and_those_in_it_are_one():
    read = ran()
    ingested = ran(inside=[read])
    _, inputs = recorded(movies=[ingested])
    assert inputs == {"movies": [read]}


def test_tasks_in_a_task_have_arrows_among_each_other_alone():
    read = ran()
    compared = ran(documents=[read])
    first = ran(inside=[compared], documents=[read])
    _, inputs = recorded(inside=[compared], documents=[read], opponent=[first])
    assert inputs == {"opponent": [first], PARENTS: [compared]}


def test_a_retry_has_the_same_inputs():
    read = ran()
    cleaned = ran(movies=[read])
    run, inputs = recorded(movies=[read], documents=[cleaned])
    parents = {name: [TaskRunResult(id=one) for one in runs] for name, runs in inputs.items()}
    assert direct_inputs(run, parents) == parents
