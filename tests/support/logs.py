"""What the code under test logged."""

import pytest


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Messages but those of the HTTP client: an earlier test's thread may still be sending."""
    others = (record for record in caplog.records if record.name.partition(".")[0] != "httpx")
    return [record.getMessage() for record in others]
