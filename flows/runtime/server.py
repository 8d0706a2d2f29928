"""Selects the Prefect server of a flow run that is started from the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from flows.runtime.local_stack.access import bypass_proxy, running_server
from flows.runtime.temporary_server import end_orphaned_servers, temporary_server

TEMPORARY = "a temporary one for this run (`make prefect` shows runs at any time)"


@contextmanager
def prefect_server(meanwhile: Callable[[], object] = lambda: None) -> Iterator[str]:
    """Use the configured Prefect server, else a running local one, else a temporary one.

    Yields the address of the server, or a text that says it is temporary. `meanwhile` prepares the
    run; it is called while a temporary server starts.
    """
    bypass_proxy()
    end_orphaned_servers()
    if settings := running_server():
        meanwhile()
        with temporary_settings(settings):
            yield settings[PREFECT_API_URL]
    else:
        with (
            temporary_server(meanwhile) as address,
            temporary_settings(
                {PREFECT_API_URL: address, PREFECT_UI_URL: ""}
            ),  # a temporary server has no UI
        ):
            yield TEMPORARY
