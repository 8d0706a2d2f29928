"""Selects the Prefect server of a flow run that is started from the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from prefect.settings.legacy import Setting

from flows.runtime.local_stack.access import bypass_proxy, running_server
from flows.runtime.queued_records import send_queued_records
from flows.runtime.temporary_server import end_orphaned_servers, temporary_server
from tasks.core.logs import logger
from tasks.core.redaction import redacted

SENDING_SECONDS = 5
UNSEEN = "This command is not recorded there, and no event is sent."
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


@contextmanager
def running_prefect_server() -> Iterator[bool]:
    """Use the configured Prefect server or a running local one, if one answers; yields whether.

    None is started. What a run has queued for the server is sent before the context ends.
    """
    bypass_proxy()
    settings = running_server() or {}
    if not (settings and _answers(settings)):
        with temporary_settings(restore_defaults={PREFECT_API_URL}):
            yield False
        return
    with temporary_settings(settings):
        try:
            yield True
        finally:
            send_queued_records(SENDING_SECONDS)


def _answers(settings: dict[Setting, str]) -> bool:
    """Whether a server answers at all, and to this user; Prefect's client would try for minutes."""
    address = redacted(settings[PREFECT_API_URL])
    try:
        httpx.get(f"{settings[PREFECT_API_URL]}/health", timeout=2, trust_env=False)
        with temporary_settings(settings), get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPStatusError as error:
        logger.warning("Prefect at %s refuses: %s. %s", address, error.response.status_code, UNSEEN)
    except (httpx.HTTPError, httpx.InvalidURL):
        logger.warning("Prefect does not answer at %s. %s", address, UNSEEN)
    else:
        return True
    return False
