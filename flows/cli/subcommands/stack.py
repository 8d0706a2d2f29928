"""The subcommands `serve`, `status` and `stop` of the local stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from flows.cli.command_line import DONE, FAILED
from flows.runtime.listener import HOST
from flows.runtime.local_stack.access import access_file
from flows.runtime.local_stack.processes import (
    announced,
    log_file,
    marked_processes,
    programs,
    stop,
)
from flows.runtime.local_stack.stack import StackPorts, mlflow_page, start
from flows.runtime.local_stack.status import stack_status
from tasks.core.files import require_folder
from tasks.core.locks import file_lock
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

BUSY_SECONDS = 300  # to wait for another start or stop of the stack
DOWN = "The stack is down: `make serve` starts it."
NOT_SUPERVISED = "The stack runs, but supervisord has ended: `make stop`, then `make serve`."


class StopConfig(StrictConfig):
    """Stop the processes that `serve` started, and no others."""


class StatusConfig(StrictConfig):
    """Print what of the local stack is up and since when; exit code 1 if anything is not."""


class StackConfig(StackPorts):
    """Start, observe or stop the local stack."""

    action: CliPositionalArg[Literal["start", "status", "stop"]] = Field(
        description="start, status or stop"
    )


def serve(config: StackPorts) -> int:
    """Start the stack and print its addresses."""
    store.require_writable()
    with _stack_lock("start"):
        print("Starting Prefect, MLflow and a worker …", flush=True)
        start(config)
    print(f"Prefect  http://{HOST}:{config.prefect_port}")
    print(f"         password: PREFECT_API_AUTH_STRING in {access_file()}")
    print(f"MLflow   {mlflow_page(config)}")
    print(f"Logs     {log_file('prefect').parent}")
    print("`make stop` ends them.")
    return DONE


def stop_stack(config: StopConfig) -> int:
    """Stop the stack and print the names of the processes; works on a full disk too."""
    with _stack_lock("stop"), announced("Stopping the local stack"):
        stopped = stop()
    print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing of the stack was running.")
    return DONE


def status(config: StatusConfig) -> int:
    """Print the state of each program, the runs that are on and the next scheduled run."""
    started = programs()
    if not started:
        print(NOT_SUPERVISED if marked_processes() else DOWN)
        return FAILED
    texts, is_ready = stack_status(started)
    for name, text in texts.items():
        print(f"{name:8} {text}")
    return DONE if is_ready else FAILED


def command(config: StackConfig) -> int:
    """The command of `python -m flows.stack`."""
    if config.action == "start":
        return serve(config)
    return status(StatusConfig()) if config.action == "status" else stop_stack(StopConfig())


@contextmanager
def _stack_lock(action: str) -> Iterator[None]:
    """Only one start or stop of a stack at a time."""
    root = store.artifacts_root()
    require_folder(root)
    with file_lock(root / "stack.lock", f"{action} the stack", BUSY_SECONDS):
        yield
