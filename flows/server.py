"""Which Prefect server a flow that is run from the terminal reports to."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_LOGGING_LEVEL,
    temporary_settings,
)

from flows.stack_access import running_server

TEMPORARY = "a temporary one for this run (`make prefect` shows runs at any time)"


@contextmanager
def prefect_server() -> Iterator[str]:
    """Use the configured Prefect server, else a local one that answers, else a temporary one."""
    if settings := running_server():
        with temporary_settings(settings):
            yield settings[PREFECT_API_URL]
    else:
        # It ends with the run; what it would then log of events cut short is of no use to anyone.
        with temporary_settings({PREFECT_SERVER_LOGGING_LEVEL: "CRITICAL"}):
            yield TEMPORARY
