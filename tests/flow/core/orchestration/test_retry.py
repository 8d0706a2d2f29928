import pytest
from prefect import flow

from tasks.core.contracts import UserError
from tasks.core.orchestration.retry import RETRY_DELAYS, io_task

pytestmark = pytest.mark.usefixtures("prefect_server")


def count_tries(errors: list[Exception], monkeypatch) -> int:
    """Number of tries of a task that raises these errors in turn; negative if it fails."""
    monkeypatch.setattr("tasks.core.orchestration.retry.RETRY_DELAYS", [0.01, 0.01])
    tries = []

    @io_task("flaky")
    def flaky() -> int:
        tries.append(1)
        if errors:
            raise errors.pop(0)
        return len(tries)

    @flow
    def flaky_flow() -> int:
        return flaky()

    try:
        flaky_flow()
    except (OSError, UserError):
        return -len(tries)
    return len(tries)


def test_a_connection_error_is_retried(monkeypatch):
    assert count_tries([ConnectionError(), TimeoutError()], monkeypatch) == 3
    assert count_tries([ConnectionError()] * 9, monkeypatch) == -(len(RETRY_DELAYS) + 1)


@pytest.mark.parametrize("error", [UserError("no such file"), FileNotFoundError("m.csv")])
def test_a_permanent_error_is_not_retried(monkeypatch, error):
    assert count_tries([error], monkeypatch) == -1
