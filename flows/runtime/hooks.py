"""Ended flow run -> notification; not completed: closed MLflow run and artifact `failure`, too.

Prefect calls these hooks in the process of the run. A run that is killed with -9 calls none: its
worker reports it as crashed. If the worker was killed as well, the automation in
`flows/runtime/local_stack/automations/zombies.yaml` does.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger
from prefect.states import Crashed

from flows.runtime import interrupts
from flows.runtime.notifications import send
from flows.runtime.parameters import END, FAILURE, with_overrides
from flows.runtime.publication import look_up_publication
from flows.runtime.resume_commands import resume_command, settings_of
from flows.runtime.run_logs import leave_out_routine
from tasks.core.redaction import redacted
from tasks.core.storage import store
from tasks.core.storage.run_locks import release_run_lock
from tasks.registry.tracking.runs import fail_run, promotion_of

leave_out_routine()  # in every process that imports a flow
LIMIT_SECONDS = 30  # for MLflow, the artifact and the notification together
DESCRIPTION_LENGTH = 500  # characters of the artifact's description
FULL_DISK = re.compile(r"The disk (of .+ )?is full")  # of `tasks.core.disk`
AnyFlow = Flow[..., Any]
Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
Steps = Mapping[str, Callable[[], None]]  # by the message that is logged if the step fails


def on_run_failure(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> None:
    """Close the MLflow run, write the artifact `failure` and send the notification."""
    if not interrupts.ending.is_set():  # the thread that received a signal records the end itself
        interrupts.record_with(None)
        record_end(flow, flow_run, state, LIMIT_SECONDS)


def on_run_completion(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> None:
    """Release the lock of a completed run, and notify where its settings ask for it."""
    record_signals(flow, flow_run, state)
    release_run_lock(str(flow_run.id))
    settings = effective_settings(settings_of(flow_run))
    if settings.get("notify") and settings.get("notify_on", FAILURE) != FAILURE:
        step = partial(_notify_completion, flow_run, state, settings)
        log = flow_run_logger(flow_run, flow)
        run_steps({"The notification was not sent": step}, LIMIT_SECONDS, log)


def record_signals(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> None:
    """While a flow run is running, record its end if a signal ends the process."""
    context = copy_context()  # contains Prefect's settings

    def recorder(message: str) -> None:
        context.run(crash, flow, flow_run, message)

    interrupts.record_with(recorder if state.is_running() else None)


def record_crash(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> None:
    """As `record_signals`, for a flow without an MLflow run, of which nothing can be resumed."""
    context = copy_context()

    def recorder(message: str) -> None:
        context.run(_set_state, flow_run, Crashed(message=message))

    interrupts.record_with(recorder if state.is_running() else None, advice="")


def crash(flow: AnyFlow, flow_run: FlowRun, message: str) -> None:
    """Record that a signal ended a flow run; a completed run stays completed."""
    state: State[Any] = Crashed(message=message)
    steps = end_steps(flow, flow_run, state)
    steps["The state in Prefect was not set"] = partial(_set_state, flow_run, state)
    run_steps(steps, interrupts.RECORD_SECONDS, flow_run_logger(flow_run, flow))


def record_end(flow: AnyFlow, flow_run: FlowRun, state: State[Any], limit_seconds: float) -> None:
    """Run all steps in parallel, so that a failing or hanging step does not block the others."""
    steps = end_steps(flow, flow_run, state)
    run_steps(steps, limit_seconds, flow_run_logger(flow_run, flow))


def end_steps(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> dict[str, Callable[[], None]]:
    """What is done at the end of a run that did not complete."""
    status = "FAILED" if state.is_failed() else "KILLED"
    return {
        "The MLflow run was not closed": partial(fail_run, str(flow_run.id), status),
        "The artifact 'failure' was not written": partial(_write_page, flow, flow_run, state),
        "The notification was not sent": partial(_notify, flow, flow_run, state),
        "Space on the disk was not freed": partial(_free_disk, state),
    }


def run_steps(steps: Steps, limit_seconds: float, log: Logger) -> None:
    """Run every step in its thread; log the steps that failed or took longer than the limit."""
    deadline = time.monotonic() + limit_seconds
    threads = {name: _start_step(name, step, log) for name, step in steps.items()}
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.error("%s: not done within %g s", name, limit_seconds)


def _start_step(name: str, step: Callable[[], None], log: Logger) -> threading.Thread:
    def run_and_log() -> None:
        try:
            step()
        except Exception as error:
            log.error("%s: %s (%s)", name, redacted(str(error)), type(error).__name__)

    target = partial(copy_context().run, run_and_log)
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def _set_state(flow_run: FlowRun, state: State[Any]) -> None:
    with get_client(sync_client=True) as client:
        current = client.read_flow_run(flow_run.id).state
        if not (current and current.is_final()):
            client.set_flow_run_state(flow_run.id, state, force=True)


def _write_page(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> None:
    artifact = ArtifactCreate(
        key="failure",
        type="markdown",
        data=page(flow, flow_run, state),
        description=reason_of(flow_run, state)[:DESCRIPTION_LENGTH],
        flow_run_id=flow_run.id,
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)


def reason_of(flow_run: FlowRun, state: State[Any]) -> str:
    """Why a run ended, and the version that it had registered before, which stays."""
    reason = redacted(state.message or "No reason was given.")
    publication = look_up_publication(str(flow_run.id))
    return f"{publication} {reason}".strip() if publication not in reason else reason


def page(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> str:
    """Markdown: why a run ended, and the command that resumes it."""
    return f"""# {flow_run.name}: {state.name}

{reason_of(flow_run, state)}

Finished stages are reused. To resume the run:

```
{_resume_command(flow, flow_run)}
```
"""


def _resume_command(flow: AnyFlow, flow_run: FlowRun) -> str:
    """The command, or the reason why there is none: the page is written in any case."""
    try:
        return resume_command(flow, flow_run)
    except Exception as error:
        reason = f"no command: {redacted(str(error))} ({type(error).__name__})"
        flow_run_logger(flow_run, flow).error(reason)
        return reason


def _free_disk(state: State[Any]) -> None:
    """Delete what earlier runs have cached if a full disk ended the run: the next one needs space.

    Clean-up by the limits of the settings takes place after a run that completes.
    """
    if FULL_DISK.search(state.message or ""):
        store.free_disk()


def effective_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a run's parameters, with its overrides where these are valid."""
    with suppress(ValueError):  # invalid overrides, which may be the reason of the failure
        settings = with_overrides(settings)
    return settings


def _notify(flow: AnyFlow, flow_run: FlowRun, state: State[Any]) -> None:
    """Send the page through the notification block of the run's settings, if there is one."""
    if name := effective_settings(settings_of(flow_run)).get("notify"):
        send(name, f"{flow_run.name}: {state.name}", page(flow, flow_run, state))


def _notify_completion(flow_run: FlowRun, state: State[Any], settings: Mapping[str, Any]) -> None:
    """Send which version a run promoted and why or, if every end is asked for, its end."""
    promotion = promotion_of(str(flow_run.id))
    if promotion or settings["notify_on"] == END:
        text = promotion or state.message or str(state.name)
        send(settings["notify"], f"{flow_run.name}: {state.name}", text)
