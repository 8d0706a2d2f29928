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


def first_lines(count: int, seconds: float) -> list[str]:
    """What a heartbeat writes during silent work that ends with so many lines, or as given up."""
    lines = list[str]()
    with heartbeat(lambda: "Running: fit", lines.append):
        end = time.monotonic() + seconds
        while len(lines) < count and time.monotonic() < end:
            time.sleep(0.01)
    return lines


def test_a_silent_run_says_what_it_does():
    line = first_lines(1, seconds=30)[0]
    assert line.startswith("Running: fit, ")
    assert line.endswith(" s so far")


def test_a_run_that_logs_gets_no_other_lines(monkeypatch):
    monkeypatch.setattr(module, "LOG_SECONDS", 1.5)  # a busy machine may stand still for a second
    lines = list[str]()
    with heartbeat(lambda: "Running: fit", lines.append):
        for _ in range(100):
            time.sleep(0.02)
            logging.getLogger("prefect.movie_recommender").warning("a line")
    assert lines == []


def test_the_silence_is_shorter_in_a_terminal(monkeypatch):
    monkeypatch.setattr(module, "LOG_SECONDS", 60)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert len(first_lines(2, seconds=30)) == 2


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
