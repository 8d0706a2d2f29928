"""What happens when a run does not complete: MLflow is told, a page says why, someone hears of it.

Prefect calls these in the process of the run. One that is killed with -9 calls nothing: its worker
reports it as crashed, and where the worker died too, the automation in `flows/zombies.yaml` does.
"""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger

from tasks.report import short
from tasks.track import fail_run


def ended_badly(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Close the MLflow run, write why and how to go on as an artifact, and notify."""
    fail_run(str(flow_run.id))
    text = page(flow.name, flow_run, state)
    artifact = ArtifactCreate(
        key="failure", type="markdown", data=text, description=state.name, flow_run_id=flow_run.id
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)
    name = settings_of(flow_run).get("notify")
    if name:
        _notify(str(name), f"{flow_run.name}: {state.name}", text, flow_run, flow)


def settings_of(flow_run: FlowRun) -> dict[str, Any]:
    """The config that a run was started with, as plain values."""
    config = flow_run.parameters.get("config") or {}
    return dict(config) if isinstance(config, Mapping) else config.model_dump(mode="json")


def page(flow: str, flow_run: FlowRun, state: State[Any]) -> str:
    """Why a run ended, and the command that goes on where it stopped."""
    return f"""# {flow_run.name}: {state.name}

{state.message or "No reason was given."}

Stages that were finished are found again. To go on:

```
{resume_command(flow, flow_run)}
```
"""


def command_of(flow: str, values: Mapping[str, Any]) -> str:
    """The command that runs a flow with these settings from the terminal."""
    return shlex.join([str(short(Path(sys.executable))), "-m", f"flows.{flow}", *flags(values)])


def resume_command(flow: str, flow_run: FlowRun) -> str:
    """The same run once more: by Prefect where a deployment started it, else from the terminal."""
    if flow_run.deployment_id:
        return f"prefect flow-run retry {flow_run.id}"
    return command_of(flow, settings_of(flow_run))


def flags(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Nested settings as flags of the command line."""
    found: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += flags(value, f"{prefix}{name}.")
        elif isinstance(value, bool):
            found.append(f"--{'' if value else 'no-'}{prefix}{name}")
        else:
            found.append(f"--{prefix}{name}={_flag_value(value)}")
    return found


def _flag_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return json.dumps(value)
    return "null" if value is None else str(value)


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
