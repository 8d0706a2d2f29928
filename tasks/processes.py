"""Processes, named so that a later one with the same number is not taken for them."""

import os
from datetime import UTC, datetime

import psutil


def name_of(number: int | None = None) -> str:
    """A process, this one by default, as its number and when it started."""
    process = psutil.Process(number or os.getpid())
    return f"{process.pid} {datetime.fromtimestamp(process.create_time(), UTC).isoformat()}"


def living(name: str) -> psutil.Process | None:
    """The process that `name_of` named, where it still runs."""
    number = int(name.split()[0])
    try:
        process = psutil.Process(number)
        alive = name_of(number) == name and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None
