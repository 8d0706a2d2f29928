"""What happens when a run does not complete: MLflow is told, a page says why, someone hears of it.

Prefect calls these in the process of the run. One that is killed with -9 calls nothing: its worker
reports it as crashed, and where the worker died too, the automation in `flows/zombies.yaml` does.
"""

from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger

from flows.commands import resume_command, settings_of
from tasks.redact import redacted
from tasks.track import fail_run


def ended_badly(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Close the MLflow run, write why and how to go on as an artifact, and notify."""
    fail_run(str(flow_run.id))
    text = page(flow, flow_run, state)
    artifact = ArtifactCreate(
        key="failure", type="markdown", data=text, description=state.name, flow_run_id=flow_run.id
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)
    name = settings_of(flow_run).get("notify")
    if name:
        _notify(str(name), f"{flow_run.name}: {state.name}", text, flow_run, flow)


def page(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> str:
    """Why a run ended, and the command that goes on where it stopped."""
    return f"""# {flow_run.name}: {state.name}

{redacted(state.message or "No reason was given.")}

Stages that were finished are found again. To go on:

```
{resume_command(flow, flow_run)}
```
"""


def _notify(name: str, subject: str, text: str, flow_run: FlowRun, flow: Flow[..., Any]) -> None:
    """Send a message through a notification block; a failure is logged, the run ended as it did."""
    logger = flow_run_logger(flow_run, flow)
    try:
        block = Block.load(name)
    except ValueError as error:
        logger.error("Nobody was told: %s", error)
        return
    if not isinstance(block, NotificationBlock):
        logger.error("Nobody was told: %s is no notification block", name)
        return
    try:
        # Typed as a coroutine, but called from here Prefect's blocks send before they return.
        block.notify(text, subject=subject)  # type: ignore[unused-coroutine]
    except Exception as error:
        logger.error("Nobody was told: %s (%s)", error, type(error).__name__)
