"""Prefect's scheduled runs: every active schedule has one, and none waits for a dead worker."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.server.schemas import schedules as server_schedules
from prefect.settings import get_current_settings
from prefect.states import Scheduled
from pydantic import TypeAdapter

from tasks.core.contracts import UserError

#: Prefect's scheduler checks changed deployments every 5 s, all deployments every 60 s.
SCHEDULE_SECONDS = 90
INTERRUPTED = "Its worker was stopped while it submitted the run"
DATED_SCHEDULE = TypeAdapter[server_schedules.SCHEDULE_TYPES](server_schedules.SCHEDULE_TYPES)
SCHEDULED_RUNS, PENDING_RUNS, RUNNING_RUNS = (
    FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[state])))
    for state in (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)
)


def reschedule_interrupted_submissions(client: SyncPrefectClient, pool: str) -> int:
    """Schedule the pool's pending runs again; call it while no worker runs. Returns how many.

    A worker that is stopped while it submits a run leaves it pending for ever. The run would hold
    the slot of its deployment, and no later run of it would start.
    """
    pending = client.read_flow_runs(
        flow_run_filter=PENDING_RUNS,
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
    )
    for run in pending:
        client.set_flow_run_state(run.id, Scheduled(message=INTERRUPTED), force=True)
    return len(pending)


def wait_for_schedules(
    client: SyncPrefectClient, pool: str, log: Path, limit_seconds: float = SCHEDULE_SECONDS
) -> None:
    """Wait until every active schedule of the pool's deployments has a run in state SCHEDULED.

    Raises:
        UserError: a schedule has none within the limit; the message names `log`, the server's log.
    """
    deadline = time.monotonic() + limit_seconds
    while missing := unscheduled(client, pool):
        if time.monotonic() > deadline:
            raise UserError(
                f"No run of {', '.join(missing)} was scheduled within {limit_seconds:.0f} s: "
                f"Prefect's scheduler does not work; its log is {log}."
            )
        time.sleep(1)


def unscheduled(client: SyncPrefectClient, pool: str) -> list[str]:
    """Names (`flow/deployment`) of deployments with an active schedule but no scheduled run."""
    deployments = client.read_deployments(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    )
    return [
        f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"
        for deployment in deployments
        if not deployment.paused and due_schedules(deployment) - creators(client, deployment.id)
    ]


def due_schedules(deployment: DeploymentResponse) -> set[UUID | None]:
    """Ids of the active schedules that must have a scheduled run now."""
    schedules = [schedule for schedule in deployment.schedules if schedule.active]
    return {schedule.id for schedule in schedules if is_due(schedule.schedule)}


def is_due(schedule: SCHEDULE_TYPES) -> bool:
    """Whether the next time of a schedule lies within the horizon of Prefect's scheduler."""
    now = datetime.now(UTC)
    horizon = now + get_current_settings().server.services.scheduler.max_scheduled_time
    dated = DATED_SCHEDULE.validate_python(schedule.model_dump())
    return bool(asyncio.run(dated.get_dates(1, now, horizon)))


def creators(client: SyncPrefectClient, deployment: UUID) -> set[UUID | None]:
    """Ids of the schedules that created the scheduled runs of a deployment."""
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=SCHEDULED_RUNS,
    )
    return {run.created_by.id for run in runs if run.created_by}
