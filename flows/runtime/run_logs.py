"""What the log of a run leaves out: Prefect's lines that say nothing, tracebacks of user errors.

A command that prints its result itself has no log lines on the terminal.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging.configuration import ensure_logging_setup

from tasks.core.contracts import UserError
from tasks.core.logs import NAME
from tasks.core.orchestration.progress import console_handlers

LOGGERS = ("prefect.task_runs", "prefect.flow_runs", "prefect.engine")
ROUTINE = re.compile(
    r"Finished in state (Completed|Cached)\(|Running hook '|Hook '\w+' finished running "
)


class RoutineFilter(logging.Filter):
    """Drops lines about what is always so, half of a run's log; keeps those of failures."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; of a user error it becomes the message alone."""
        if record.exc_info and isinstance(record.exc_info[1], UserError):
            record.msg, record.args = str(record.exc_info[1]), None
            record.exc_info = record.exc_text = None
        return not ROUTINE.match(record.getMessage())


def leave_out_routine() -> None:
    """Filter the loggers of Prefect's runs in this process."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, RoutineFilter) for present in logger.filters):
            logger.addFilter(RoutineFilter())


@contextmanager
def without_console() -> Iterator[None]:
    """Send log lines of a run to Prefect's server alone; those of `tasks.core.logs` are printed."""
    ensure_logging_setup()  # else the run makes the handlers
    handlers = console_handlers()
    for handler in handlers:
        handler.addFilter(_is_outside_runs)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_outside_runs)


def _is_outside_runs(record: logging.LogRecord) -> bool:
    return record.name == NAME
