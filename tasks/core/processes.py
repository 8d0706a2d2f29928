"""Processes: their identity beyond a reused number, and children that end with their parent."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PARENT_CHECK_SECONDS = 0.5
KILL_SECONDS = 5  # until the system has removed a killed process


def process_name(number: int | None = None) -> str:
    """A process, this one by default, as its number and a mark that no later process shares.

    Raises:
        psutil.NoSuchProcess: no process has this number.
    """
    process = psutil.Process(number or os.getpid())
    return f"{process.pid} {_start_mark(process)}"


def find_process(name: str) -> psutil.Process | None:
    """The process that `name_of` named, where it still runs; None for a damaged name too."""
    try:
        number, mark = name.split(maxsplit=1)
        process = psutil.Process(int(number))
        same = mark in (_start_mark(process), _start_time(process))
        alive = same and process.status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):
        return None
    return process if alive else None


def end_trees(
    roots: Sequence[psutil.Process], request: signal.Signals, limit_seconds: float
) -> None:
    """Send processes a signal that asks them to end, all at once; kill those of them and of their
    descendants that still run after `limit_seconds`."""
    trees = [process for root in roots for process in _tree(root)]
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            root.send_signal(request)
    _, remaining = psutil.wait_procs(trees, timeout=limit_seconds)
    for process in remaining:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(remaining, timeout=KILL_SECONDS)


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end_with_parent(parent: int) -> None:
    """Have this process end within a second after process `parent` has ended, however it ended.

    It leaves the parent's process group, so that Ctrl+C in the terminal reaches the parent alone,
    which decides. `PR_SET_PDEATHSIG` would do on Linux only, and fires when the thread ends that
    started the process.
    """
    os.setpgid(0, 0)
    threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


def _start_mark(process: psutil.Process) -> str:
    """Clock ticks from boot to the process's start, and which boot: clock steps change neither."""
    if not BOOT_ID.exists():  # not Linux: the start time is kept as it was read at the start
        return _start_time(process)
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        raise psutil.NoSuchProcess(process.pid) from None
    return f"{BOOT_ID.read_text().strip()}:{fields[19]}"


def _start_time(process: psutil.Process) -> str:
    """When the process started: what earlier runs recorded."""
    return datetime.fromtimestamp(process.create_time(), UTC).isoformat()
