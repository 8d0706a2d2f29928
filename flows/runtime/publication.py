"""A run that fails after it has registered a version: what stands, and what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from tasks.core.contracts import UserError
from tasks.core.logs import logger
from tasks.core.redaction import redacted
from tasks.registry.tracking.runs import publication_of

LOOK_UP_SECONDS = 2.0  # a page is written without it if MLflow does not answer


class IncompleteError(Exception):
    """A version was registered, and something that belongs to it is missing."""


@contextmanager
def completing(publication: str) -> Iterator[None]:
    """Begin the message of an error with what was published before it.

    Raises:
        UserError: the error is one.
        IncompleteError: for any other error.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{publication} {error}") from error
    except Exception as error:
        raise IncompleteError(f"{publication} {error} ({type(error).__name__})") from error


def look_up_publication(flow_run_id: str) -> str:
    """The version that a flow run has registered; empty if there is none, or MLflow is too slow."""
    texts = list[str]()

    def look_up() -> None:
        try:
            texts.append(publication_of(flow_run_id))
        except Exception as error:  # the page about the failure is written all the same
            logger.warning("MLflow does not say what was published: %s", redacted(str(error)))

    thread = Thread(target=look_up, name="publication", daemon=True)
    thread.start()
    thread.join(LOOK_UP_SECONDS)
    return "".join(texts)
