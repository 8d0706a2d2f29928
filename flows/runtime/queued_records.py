"""Events and log lines that Prefect's clients have queued in this process for their server."""

from prefect.events.worker import EventsWorker

from tasks.core.logs import logger


def send_queued_records(seconds: float) -> None:
    """Send what is queued, of events and log lines alike; what takes longer is given up, logged.

    Later events and lines get queues of their own.
    """
    # all of Prefect's queues are in one dictionary: one call sends those of the logs, too
    waited = EventsWorker.drain_all(timeout=seconds, at_exit=False)
    assert isinstance(waited, tuple)  # noqa: S101 # a coroutine is for callers in an event loop
    if waited[1]:
        logger.warning(
            "Prefect's server did not take all events and logs of this run within %g s: its page "
            "may lack the last of them.",
            seconds,
        )
