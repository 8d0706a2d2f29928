import logging
from concurrent.futures import Future
from typing import Any

import pytest
from prefect.events.worker import EventsWorker

from flows.runtime.queued_records import send_queued_records


@pytest.mark.parametrize("is_sent", [True, False])
def test_records_that_the_server_did_not_take_are_said(is_sent, monkeypatch, caplog):
    waiting: Future[bool] = Future()
    waited: Any = ({waiting}, set()) if is_sent else (set(), {waiting})
    monkeypatch.setattr(EventsWorker, "drain_all", lambda **_: waited)
    with caplog.at_level(logging.WARNING):
        send_queued_records(3)
    assert ("did not take all events and logs of this run within 3 s" in caplog.text) != is_sent
