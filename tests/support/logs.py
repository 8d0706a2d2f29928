"""What the code under test logged."""

import logging

import pytest

#: Loggers of threads that may still send what an earlier test's flow reported.
SENDERS = ("httpx.", "prefect._internal.")


def messages(caplog: pytest.LogCaptureFixture, least: int = logging.NOTSET) -> list[str]:
    """Messages of a level or above, but those of threads that send an earlier test's events."""
    records = (record for record in caplog.records if not f"{record.name}.".startswith(SENDERS))
    return [record.getMessage() for record in records if record.levelno >= least]
