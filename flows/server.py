"""Which Prefect server a flow that is run from the terminal reports to."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from flows.temporary_server import end_left_servers, temporary_server

TEMPORARY = "a temporary one for this run (`make prefect` shows runs at any time)"
LOCAL_SERVER = "http://127.0.0.1:4200/api"


@contextmanager
def prefect_server() -> Iterator[str]:
    """Use the configured Prefect server, else a local one that answers, else a temporary one."""
    end_left_servers()
    if PREFECT_API_URL.value():
        yield str(PREFECT_API_URL.value())
    elif _answers(LOCAL_SERVER):
        with temporary_settings({PREFECT_API_URL: LOCAL_SERVER}):
            yield LOCAL_SERVER
    else:
        with (
            temporary_server() as address,
            temporary_settings({PREFECT_API_URL: address, PREFECT_UI_URL: ""}),  # it has no UI
        ):
            yield TEMPORARY


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).is_success
    except httpx.HTTPError:
        return False
