import pytest
from prefect import flow

from tasks.core.contracts import UserError
from tasks.core.retry import RETRY_DELAYS, io_task

pytestmark = pytest.mark.usefixtures("prefect_server")


def tries_until(errors: list[Exception], monkeypatch) -> int:
    """How often a task is tried that raises these errors one after the other."""
    monkeypatch.setattr("tasks.core.retry.RETRY_DELAYS", [0.01, 0.01])
    tried = []

    @io_task("flaky")
    def flaky() -> int:
        tried.append(1)
        if errors:
            raise errors.pop(0)
        return len(tried)

    @flow
    def one() -> int:
        return flaky()

    try:
        one()
    except (OSError, UserError):
        return -len(tried)
    return len(tried)


def test_a_connection_that_comes_back_is_waited_for(monkeypatch):
    assert tries_until([ConnectionError(), TimeoutError()], monkeypatch) == 3
    assert tries_until([ConnectionError()] * 9, monkeypatch) == -(len(RETRY_DELAYS) + 1)


@pytest.mark.parametrize("error", [UserError("no such file"), FileNotFoundError("m.csv")])
def test_what_would_fail_again_is_tried_once(monkeypatch, error):
    assert tries_until([error], monkeypatch) == -1
