import logging

import pytest

from tasks.core.contracts import UserError
from tasks.data import drift
from tasks.data.drift import DriftConfig, require_little_drift
from tests.support.logs import messages

METRICS = {"drift_genres": 0.15, "drift_decades": 0.05, "drift_text_lengths": 0.3}
METRICS |= {f"{name}_chance": 0.01 for name in METRICS}


@pytest.fixture(autouse=True)
def without_a_run(monkeypatch) -> None:
    monkeypatch.setattr(drift, "get_run_logger", lambda: logging.getLogger("test"))


def test_drift_above_the_limit_is_a_warning(caplog):
    require_little_drift(METRICS, DriftConfig(warn_above=0.2))
    (warning,) = messages(caplog, logging.WARNING)
    assert "lengths 0.30" in warning
    assert "genres" not in warning


def test_drift_below_the_limit_is_none(caplog):
    require_little_drift(METRICS, DriftConfig(warn_above=0.31))
    assert messages(caplog) == []


def test_drift_above_the_second_limit_stops_the_run():
    with pytest.raises(UserError, match=r"lengths 0\.30 \(limit: --drift\.stop-above 0\.25\)"):
        require_little_drift(METRICS, DriftConfig(stop_above=0.25))
