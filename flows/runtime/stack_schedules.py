"""Check of Prefect's scheduler: every active schedule must have a run that waits for its time."""

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
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.server.schemas import schedules as server_schedules
from prefect.settings import get_current_settings
from pydantic import TypeAdapter

from tasks.core.contracts import UserError

SCHEDULE_SECONDS = (
    90  # Prefect's scheduler looks at changed deployments every 5 s, at all every 60 s
)
DATED_SCHEDULE = TypeAdapter[server_schedules.SCHEDULE_TYPES](server_schedules.SCHEDULE_TYPES)
WAITING = FlowRunFilter(
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
)


def wait_for_schedules(
    client: SyncPrefectClient, pool: str, log: Path, limit_seconds: float = SCHEDULE_SECONDS
) -> None:
    """Return when every active schedule of a work pool's deployments has a run in state SCHEDULED.

    Raises:
        UserError: there is none within the limit; `log` is the server's, and is named.
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
    """Names of the deployments with an active schedule that no waiting run was created by."""
    deployments = client.read_deployments(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    )
    return [
        deployment.name
        for deployment in deployments
        if not deployment.paused
        and {
            schedule.id
            for schedule in deployment.schedules
            if schedule.active and is_due(schedule.schedule)
        }
        - creators(client, deployment.id)
    ]


def is_due(schedule: SCHEDULE_TYPES) -> bool:
    """Whether a schedule has a time so near that Prefect's scheduler creates a run for it now."""
    now = datetime.now(UTC)
    horizon = now + get_current_settings().server.services.scheduler.max_scheduled_time
    dated = DATED_SCHEDULE.validate_python(schedule.model_dump())
    return bool(asyncio.run(dated.get_dates(1, now, horizon)))


def creators(client: SyncPrefectClient, deployment: UUID) -> set[UUID | None]:
    """Schedules that a deployment's waiting runs were created by."""
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=WAITING,
    )
    return {run.created_by.id for run in runs if run.created_by}
