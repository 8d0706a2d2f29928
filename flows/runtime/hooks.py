"""What happens when a run does not complete: MLflow is told, a page says why, someone hears of it.

Prefect calls these in the process of the run. One that is killed with -9 calls nothing: its worker
reports it as crashed, and where the worker died too, the automation in
`flows/runtime/automations/zombies.yaml` does.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger
from prefect.states import Crashed

from flows.runtime import interrupts
from flows.runtime.parameters import with_overrides
from flows.runtime.resume_commands import resume_command, settings_of
from tasks.core.redaction import redacted
from tasks.registry.tracking.tracking import fail_run

LIMIT_SECONDS = 30  # for MLflow, the artifact and the notification together
Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def on_run_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Close the MLflow run, write why and how to go on as an artifact, and notify."""
    if not interrupts.ending.is_set():  # a signal's end is recorded by its own thread
        interrupts.record_with(None)
        record_end(flow, flow_run, state, LIMIT_SECONDS)


def record_signals(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """While a flow run runs, have its end recorded where a signal ends this command."""
    context = copy_context()  # Prefect's settings are in it

    def recorder(message: str) -> None:
        context.run(crash, flow, flow_run, message)

    interrupts.record_with(recorder if state.is_running() else None)


def crash(flow: Flow[..., Any], flow_run: FlowRun, message: str) -> None:
    """Record that a signal ended a flow run, unless it has completed."""
    limit = interrupts.RECORD_SECONDS
    state: State[Any] = Crashed(message=message)
    parts = {"Prefect was not told": partial(_set_state, flow_run, state)}
    record_end(flow, flow_run, state, limit, parts)


def _set_state(flow_run: FlowRun, state: State[Any]) -> None:
    with get_client(sync_client=True) as client:
        now = client.read_flow_run(flow_run.id).state
        if not (now and now.is_final()):
            client.set_flow_run_state(flow_run.id, state, force=True)


def record_end(
    flow: Flow[..., Any],
    flow_run: FlowRun,
    state: State[Any],
    limit_seconds: float,
    more: Mapping[str, Callable[[], None]] | None = None,
) -> None:
    """Do all parts side by side: one that fails or hangs is logged and keeps no other from it."""
    status = "FAILED" if state.is_failed() else "KILLED"
    parts: dict[str, Callable[[], None]] = {
        **(more or {}),
        "The MLflow run was not closed": partial(fail_run, str(flow_run.id), status),
        "The artifact 'failure' was not written": partial(_write_page, flow, flow_run, state),
        "Nobody was told": partial(_notify, flow, flow_run, state),
    }
    run_parts(parts, limit_seconds, flow_run_logger(flow_run, flow))


def run_parts(parts: Mapping[str, Callable[[], None]], limit_seconds: float, log: Logger) -> None:
    """Run every part in a thread of its own; log which one failed or was not done in time."""
    deadline = time.monotonic() + limit_seconds
    threads = {name: _thread(name, part, log) for name, part in parts.items()}
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.error("%s: not done within %g s", name, limit_seconds)


def _thread(name: str, part: Callable[[], None], log: Logger) -> threading.Thread:
    def logged() -> None:
        try:
            part()
        except Exception as error:
            log.error("%s: %s (%s)", name, redacted(str(error)), type(error).__name__)

    thread = threading.Thread(target=copy_context().run, args=(logged,), name=name, daemon=True)
    thread.start()
    return thread


def _write_page(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    artifact = ArtifactCreate(
        key="failure",
        type="markdown",
        data=page(flow, flow_run, state),
        description=state.name,
        flow_run_id=flow_run.id,
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)


def page(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> str:
    """Why a run ended, and the command that goes on where it stopped."""
    return f"""# {flow_run.name}: {state.name}

{redacted(state.message or "No reason was given.")}

Stages that were finished are found again. To go on:

```
{_command(flow, flow_run)}
```
"""


def _command(flow: Flow[..., Any], flow_run: FlowRun) -> str:
    """The command that goes on, or why there is none: the page is needed without it too."""
    try:
        return resume_command(flow, flow_run)
    except Exception as error:
        reason = f"no command: {redacted(str(error))} ({type(error).__name__})"
        flow_run_logger(flow_run, flow).error(reason)
        return reason


def notification_block(settings: Mapping[str, Any]) -> str | None:
    """The setting `notify` of a run's parameters, which may be among its overrides."""
    with suppress(ValueError):  # wrong overrides, which may be why the run failed
        settings = with_overrides(settings)
    return settings.get("notify")


def _notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Send the page through the notification block that the run names, if it names one."""
    name = notification_block(settings_of(flow_run))
    if not name:
        return
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise ValueError(f"{name} is no notification block")
    text = page(flow, flow_run, state)
    # Typed as a coroutine, but called from a thread Prefect's blocks send before they return.
    block.notify(text, subject=f"{flow_run.name}: {state.name}")  # type: ignore[unused-coroutine]
