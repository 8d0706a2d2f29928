"""Names and states of the runs of stage tasks, as Prefect records them."""

import time

import pytest
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRunResult

from tasks.core.contracts import Ref
from tasks.core.orchestration.look_ups import record_look_up
from tasks.core.orchestration.progress import gather
from tasks.core.orchestration.retry import io_task
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.orchestration.task_inputs import PARENTS
from tasks.reports.stage_times import read_task_runs
from tests.support.prefect_queues import SECONDS

pytestmark = pytest.mark.usefixtures("prefect_server")

RESULTS = {
    "no-look-up": [],
    "stored": [True, True],
    "in-part": [True, False],
    "computed": [False],
}


@stage_task("look-up", "look-up-{name}")
def look_up(name: str) -> str:
    """Look up outputs, some of which are stored."""
    for has_result in RESULTS[name]:
        record_look_up(has_result)
    return name


@stage_task("label")
def label() -> int:
    return 1


def states_of(flow_run_id: str) -> dict[str, str | None]:
    """States by name of the task runs of a flow run, once the server has all of them."""
    runs = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            states = {
                one.name: one.state_name for one in client.read_task_runs(flow_run_filter=runs)
            }
        if len(states) == len(RESULTS) + 1 and not {"Pending", "Running"} & set(states.values()):
            break
        time.sleep(0.2)
    return states


def test_a_stage_is_named_without_a_suffix_and_cached_if_all_it_needs_is_stored():
    @flow
    def stages() -> tuple[list[str], int, str]:
        futures = look_up.map(list(RESULTS))
        return [future.result() for future in futures], label(), str(runtime.flow_run.id)

    values, number, flow_run_id = stages()
    assert (values, number) == (list(RESULTS), 1)
    assert states_of(flow_run_id) == {
        "look-up-no-look-up": "Completed",
        "look-up-stored": "Cached",
        "look-up-in-part": "Completed",
        "look-up-computed": "Completed",
        "label": "Completed",
    }


@pytest.mark.parametrize("name", RESULTS)
def test_a_call_returns_the_value_of_a_stage_in_any_state(name):
    @flow
    def stages() -> tuple[str, bool]:
        return look_up(name), look_up(name, return_state=True).is_completed()

    assert stages() == (name, True)


@stage_task("look-up-all")
def look_up_all(names: list[str]) -> list[str]:
    """Look up outputs in a task for each name."""
    refs = gather("look-up", look_up_chunk.map(names), len(names))
    return [ref.digest for ref in refs]


@stage_task("look-up-all-chunk", "look-up-{name}")
def look_up_chunk(name: str) -> Ref:
    for has_result in RESULTS[name]:
        record_look_up(has_result)
    return Ref(paths=(name,), digest=name)


@pytest.mark.parametrize(
    ("names", "state"),
    [(["stored", "stored"], "Cached"), (["stored", "computed"], "Completed")],
)
def test_a_stage_is_cached_if_all_of_its_chunks_are(names, state):
    @flow
    def stages() -> str | None:
        return look_up_all.submit(names, return_state=True).name

    assert stages() == state


def test_prefect_records_direct_inputs_alone_and_which_task_called_which():
    @stage_task("pair")
    def pair(first: Ref, second: Ref, config: str) -> Ref:
        return look_up_chunk(second.digest)

    @io_task("show")
    def show(first: Ref, paired: Ref) -> str:
        return paired.digest

    @flow
    def stages() -> str:
        first = look_up_chunk.submit("no-look-up")
        second = look_up_chunk.submit("in-part", wait_for=[first])
        paired = pair.submit(first, second, "setting")
        show.submit(first, paired).result()
        return str(runtime.flow_run.id)

    inputs = inputs_of(stages(), tasks=5)
    assert inputs["pair"] == {"second": ["look-up-in-part"]}
    assert inputs["show"] == {"paired": ["pair"]}
    assert {PARENTS: ["pair"]} in inputs.values()


def inputs_of(flow_run_id: str, tasks: int) -> dict[str, dict[str, list[str]]]:
    """Names of the inputs of the task runs of a flow run, once all have ended."""
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + SECONDS
        while len(runs := read_task_runs(client, flow_run_id)) < tasks or not all(
            run.end_time for run in runs
        ):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    names = {run.id: run.name for run in runs}
    return {
        f"{run.name}{' (called)' if PARENTS in run.task_inputs else ''}": {
            parameter: [names[one.id] for one in sources if isinstance(one, TaskRunResult)]
            for parameter, sources in run.task_inputs.items()
        }
        for run in runs
    }


def test_without_prefect_a_stage_returns_its_value():
    assert look_up.fn("stored") == "stored"
