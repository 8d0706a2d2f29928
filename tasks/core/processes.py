"""Process names that stay unique when ids are reused; child processes that end with the parent."""

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
KILL_SECONDS = 5  # time limit for the system to remove a killed process


def process_name(pid: int | None = None) -> str:
    """Unique name `PID START` of a process; of this process by default.

    Raises:
        psutil.NoSuchProcess: no process has this id.
    """
    process = psutil.Process(pid or os.getpid())
    return f"{process.pid} {_start_id(process)}"


def find_process(name: str) -> psutil.Process | None:
    """The running process with a `process_name`; None if it ended or the name is damaged."""
    try:
        pid, start = name.split(maxsplit=1)
        process = psutil.Process(int(pid))
        is_same = start in (_start_id(process), _start_time(process))
        is_running = is_same and process.status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):
        return None
    return process if is_running else None


def end_trees(
    roots: Sequence[psutil.Process], request: signal.Signals, limit_seconds: float
) -> None:
    """Stop processes and their descendants.

    Sends `request` to all roots at once. After `limit_seconds`, every root and descendant that
    still runs is killed.
    """
    trees = [process for root in roots for process in _process_tree(root)]
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            root.send_signal(request)
    remaining = _wait_for_ends(trees, limit_seconds)
    for process in remaining:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for_ends(remaining, KILL_SECONDS)


def _wait_for_ends(running: list[psutil.Process], limit_seconds: float) -> list[psutil.Process]:
    """Wait for processes to end; returns those that have not.

    A zombie has ended: its parent may have ended with it, and nobody else waits for it.
    """
    deadline = time.monotonic() + limit_seconds
    while running and time.monotonic() < deadline:
        _, running = psutil.wait_procs(running, timeout=0.05)
        running = [process for process in running if not _is_zombie(process)]
    return running


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _process_tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end_with_parent(parent_pid: int) -> None:
    """End this process within a second after its parent has ended, even if that was killed.

    The process leaves the process group of the parent, so that Ctrl+C in the terminal reaches the
    parent alone. `PR_SET_PDEATHSIG` is not used: it exists on Linux only, and it fires when the
    thread ends that started the process.
    """
    os.setpgid(0, 0)
    threading.Thread(
        target=_watch_parent, args=(parent_pid,), name="parent-watch", daemon=True
    ).start()


def _watch_parent(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


def _start_id(process: psutil.Process) -> str:
    """Boot id and clock ticks from boot to the start; setting the clock changes neither."""
    if not BOOT_ID.exists():  # not Linux
        return _start_time(process)
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        raise psutil.NoSuchProcess(process.pid) from None
    return f"{BOOT_ID.read_text().strip()}:{fields[19]}"


def _start_time(process: psutil.Process) -> str:
    """Start time in ISO format, which earlier versions recorded."""
    return datetime.fromtimestamp(process.create_time(), UTC).isoformat()
