"""A process that holds the lock of a flow run, as a run does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HOLD = """
import sys, time
from tasks.core.storage.run_locks import hold_run_lock
hold_run_lock(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def process_with_run(flow_run: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock of a flow run in the current root, and is killed at the end."""
    command = [sys.executable, "-c", HOLD, flow_run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
