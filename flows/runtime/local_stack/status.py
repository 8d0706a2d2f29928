"""State of the local stack: its programs, the runs that are on, the next scheduled run."""

from collections.abc import Callable
from datetime import datetime

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL

from flows.runtime.local_stack.access import read_access
from flows.runtime.local_stack.processes import Program, address_file, log_file
from flows.runtime.local_stack.schedules import RUNNING_RUNS, SCHEDULED_RUNS
from flows.runtime.local_stack.stack import has_worker, is_responding, stack_client

RUNS_SHOWN = 5


def stack_status(programs: list[Program]) -> tuple[dict[str, str], bool]:
    """Texts by program, and for `running` and `next` runs; whether all programs are ready."""
    access = read_access()
    server = access.get(PREFECT_API_URL.name, "")
    is_up = is_responding(f"{server}/health")
    with stack_client(access) as client:
        checks: dict[str, Callable[[Program], bool]] = {
            "prefect": lambda _: is_up,
            "mlflow": lambda _: is_responding(f"{mlflow_address()}/health"),
            "worker": lambda program: is_up and has_worker(client, program.since),
        }
        ready = {one.name: one.is_running and checks[one.name](one) for one in programs}
        texts = {one.name: program_text(one, ready[one.name]) for one in programs}
        return texts | (run_texts(client) if is_up else {}), all(ready.values())


def mlflow_address() -> str:
    """Address of the stack's MLflow UI; empty if it has none."""
    return address_file().read_text() if address_file().exists() else ""


def program_text(program: Program, is_ready: bool) -> str:
    """State of a program in words."""
    if not program.is_running:
        return f"down; its log is {log_file(program.name)}"
    state = "up" if is_ready else "not answering, running"
    again = f", started again after it ended at {local_time(program.ended_before)}"
    return f"{state} since {local_time(program.since)}{again if program.ended_before else ''}"


def run_texts(client: SyncPrefectClient) -> dict[str, str]:
    """The runs that are on with their start; deployment and time of the next scheduled run."""
    running = _first_runs(client, RUNNING_RUNS, RUNS_SHOWN)
    scheduled = _first_runs(client, SCHEDULED_RUNS, 1)
    return {
        "running": ", ".join(f"{run.name} since {local_time(run.start_time)}" for run in running)
        or "no run",
        "next": ", ".join(scheduled_text(client, run) for run in scheduled) or "no scheduled run",
    }


def _first_runs(client: SyncPrefectClient, runs: FlowRunFilter, limit: int) -> list[FlowRun]:
    by_time = FlowRunSort.EXPECTED_START_TIME_ASC
    return client.read_flow_runs(flow_run_filter=runs, sort=by_time, limit=limit)


def scheduled_text(client: SyncPrefectClient, run: FlowRun) -> str:
    """Deployment of a scheduled run and its time; the run's name if it has no deployment."""
    name = run.name
    if run.deployment_id:
        flow = client.read_flow(run.flow_id)
        name = f"{flow.name}/{client.read_deployment(run.deployment_id).name}"
    return f"{name} at {local_time(run.expected_start_time)}"


def local_time(time: datetime | None) -> str:
    """Date and time in this machine's time zone, to the minute."""
    return f"{time.astimezone():%Y-%m-%d %H:%M %Z}" if time else "?"
