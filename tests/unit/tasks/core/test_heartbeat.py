import logging
import time

import pytest

from tasks.core import heartbeat as module
from tasks.core.heartbeat import heartbeat

LONGEST = [
    seconds + module.CHECK_SECONDS for seconds in (module.TERMINAL_SECONDS, module.LOG_SECONDS)
]


@pytest.fixture(autouse=True)
def short_silences(monkeypatch):
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(module, "LOG_SECONDS", 0.3)
    monkeypatch.setattr(module, "TERMINAL_SECONDS", 0.1)


def lines_of(seconds: float, log_every: float | None = None) -> list[str]:
    """What a heartbeat writes while the work logs a line every so many seconds, or none."""
    lines = list[str]()
    with heartbeat(lambda: "Running: fit", lines.append):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(log_every or 0.05)
            if log_every:
                logging.getLogger("prefect.movie_recommender").warning("a line")
    return lines


def test_a_silent_run_says_what_it_does():
    lines = lines_of(0.5)
    assert lines[0].startswith("Running: fit, ")
    assert lines[0].endswith(" s so far")


def test_a_run_that_logs_gets_no_other_lines(monkeypatch):
    monkeypatch.setattr(module, "LOG_SECONDS", 1.5)  # a busy machine may stand still for a second
    assert lines_of(2.5, log_every=0.02) == []


def test_the_silence_is_shorter_in_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert len(lines_of(0.5)) >= 2


def test_nothing_is_written_after_the_end():
    lines = list[str]()
    with heartbeat(lambda: "", lines.append):
        pass
    time.sleep(0.5)
    assert lines == []


def test_the_silences_of_a_person_and_of_a_log_file():
    in_terminal, in_file = LONGEST
    assert in_terminal < 15
    assert in_file < 30
