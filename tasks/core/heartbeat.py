"""A log line whenever a run has printed nothing for a while, so that it does not look dead."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tasks.core.logs import logger

TERMINAL_SECONDS = 10.0  # of silence where a person may be watching
LOG_SECONDS = 25.0  # of silence where the output is a file
CHECK_SECONDS = 1.0


class _LastLine(logging.Handler):
    """Knows when the last line was logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.time = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the time of the record."""
        self.time = time.monotonic()


def write_to_stderr(text: str) -> None:
    """Print a line where Prefect's log lines go; before a flow runs, Prefect prints none."""
    print(text, file=sys.stderr, flush=True)


def is_watched() -> bool:
    """Whether a person may be reading standard error."""
    return bool(sys.stderr) and sys.stderr.isatty()


@contextmanager
def heartbeat(
    describe: Callable[[], str], write: Callable[[str], object] = logger.info
) -> Iterator[None]:
    """Write what `describe` returns, and the seconds since the start, after each silence."""
    limit = TERMINAL_SECONDS if is_watched() else LOG_SECONDS
    start, ended, last_line = time.monotonic(), Event(), _LastLine()

    def beat() -> None:
        while not ended.wait(CHECK_SECONDS):
            if time.monotonic() - last_line.time >= limit:
                write(f"{describe()}, {time.monotonic() - start:.0f} s so far")
                last_line.time = time.monotonic()

    watched = logging.getLogger("prefect")  # all lines of the terminal come from it
    watched.addHandler(last_line)
    watcher = Thread(target=beat, name="heartbeat", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        watched.removeHandler(last_line)
