"""The subcommands `serve` and `stop`: start and stop the local stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from flows.cli.command_line import DONE
from flows.runtime.stack import StackPorts, remote_mlflow, start
from flows.runtime.stack_access import HOST, access_file
from flows.runtime.stack_processes import log_file, stop
from tasks.core.files import require_folder
from tasks.core.locks import file_lock
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

BUSY_SECONDS = 300  # to wait for another start or stop of the stack


class StopConfig(StrictConfig):
    """Stop the processes that `serve` started, and no others."""


class StackConfig(StackPorts):
    """Start or stop the local stack."""

    action: CliPositionalArg[Literal["start", "stop"]] = Field(description="start or stop")


def serve(config: StackPorts) -> int:
    """Start the stack and print its addresses."""
    store.require_writable()
    with _stack_lock("start"):
        print("Starting Prefect, MLflow and a worker …", flush=True)
        start(config)
    print(f"Prefect  http://{HOST}:{config.prefect_port}")
    print(f"         password: PREFECT_API_AUTH_STRING in {access_file()}")
    print(f"MLflow   {remote_mlflow() or f'http://{HOST}:{config.mlflow_port}'}")
    print(f"Logs     {log_file('prefect').parent}")
    print("`make stop` ends them.")
    return DONE


def stop_stack(config: StopConfig) -> int:
    """Stop the stack and print the names of the processes; works on a full disk too."""
    with _stack_lock("stop"):
        stopped = stop()
    print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing of the stack was running.")
    return DONE


def command(config: StackConfig) -> int:
    """The command of `python -m flows.stack`."""
    return serve(config) if config.action == "start" else stop_stack(StopConfig())


@contextmanager
def _stack_lock(action: str) -> Iterator[None]:
    """Only one start or stop of a stack at a time."""
    root = store.artifacts_root()
    require_folder(root)
    with file_lock(root / "stack.lock", f"{action} the stack", BUSY_SECONDS):
        yield
