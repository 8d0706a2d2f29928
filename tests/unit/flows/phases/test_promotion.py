from types import SimpleNamespace
from typing import Any

import pytest

from flows.config import TrainConfig
from flows.phases import promotion
from flows.phases.promotion import compare_with_champion
from tasks.core.contracts import RunRef
from tests.support.direct_phases import FinishedTask


class FailedTask(FinishedTask):
    def result(self) -> Any:
        raise ValueError(self.value)


def test_nothing_is_compared_if_the_check_of_the_documents_fails(monkeypatch):
    """Even if it fails last, when the lists are evaluated already."""
    monkeypatch.setattr(promotion, "start_drift_check", lambda *_: [])
    monkeypatch.setattr(promotion, "decide", lambda *_: pytest.fail("compared"))
    data: Any = SimpleNamespace(checked=FailedTask("leaks"))
    recommender: Any = SimpleNamespace(lists=FinishedTask(None))
    run = RunRef(run_id="r", experiment_id="1", tracking_uri="")
    with pytest.raises(ValueError, match="leaks"):
        compare_with_champion(TrainConfig(), run, data, recommender)
