"""A module as a program of its own: its results, and what it and its descendants use."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from resource import struct_rusage
from typing import Any, NamedTuple

import psutil

INTERVAL = 1.0  # seconds between two looks at the processes


class Usage(NamedTuple):
    """What a program and its descendants used at one moment."""

    second: float  # since the program was started
    cores: float  # that were busy since the look before
    mb: float  # of memory, pages that they share counted once


def run(module: str, *arguments: str, root: str) -> dict[str, Any]:
    """The JSON that a module prints last, with the seconds, cores and memory of its processes.

    `peak_mb` is of the largest process, `together_mb` the most that all of them held at a time.
    `started` is a time stamp in seconds, `usage` what they used every `INTERVAL`.
    """
    started, begin, log = time.time(), time.perf_counter(), Path(root) / "output.txt"
    environment = os.environ | {"RECOMMENDER_ARTIFACTS": root, "PREFECT_LOGGING_LEVEL": "ERROR"}
    with log.open("w") as file:
        command = [sys.executable, "-m", module, *arguments]
        process = psutil.Process(subprocess.Popen(command, env=environment, stdout=file).pid)
        usage, status, used = watch(process)
    if status:
        raise SystemExit(f"{module} failed.")
    results: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    return results | {
        "started": started,
        "process_seconds": time.perf_counter() - begin,
        "peak_mb": used.ru_maxrss / 1024,
        "together_mb": max(moment.mb for moment in usage),
        "usage": usage,
    }


def watch(process: psutil.Process) -> tuple[list[Usage], int, struct_rusage]:
    """Wait for the end of a child: what its family used meanwhile, its status, and its own use."""
    begin, earlier, usage = time.perf_counter(), dict[int, float](), list[Usage]()
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        now = time.perf_counter() - begin
        seconds = cpu_seconds(process)
        spent = sum(max(0.0, cpu - earlier.get(pid, 0.0)) for pid, cpu in seconds.items())
        cores = spent / (now - usage[-1].second) if usage else 0.0
        usage.append(Usage(now, cores, memory_mb(process)))
        earlier = seconds
        time.sleep(INTERVAL)
    return usage, ended[1], ended[2]


def family(process: psutil.Process) -> Iterator[psutil.Process]:
    """A process and all its descendants that live."""
    with suppress(psutil.NoSuchProcess):
        yield from (process, *process.children(recursive=True))


def cpu_seconds(process: psutil.Process) -> dict[int, float]:
    """CPU seconds by process id of a process and all its descendants."""
    seconds = dict[int, float]()
    for member in family(process):
        with suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            seconds[member.pid] = times.user + times.system
    return seconds


def memory_mb(process: psutil.Process) -> float:
    """Memory of a process and all its descendants in MB, pages that they share counted once."""
    proportional_mb = 0.0
    for member in family(process):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            proportional_mb += member.memory_full_info().pss / 2**20
    return proportional_mb
