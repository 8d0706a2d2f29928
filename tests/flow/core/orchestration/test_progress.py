import io
import logging
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console

from tasks.core.contracts import Ref
from tasks.core.orchestration import progress as module
from tasks.core.orchestration.progress import (
    EPOCHS_FILE,
    ProgressRate,
    gather,
    progress_bar,
    route_logs_to,
    watch_epochs,
    write_epoch_progress,
)


@pytest.fixture
def after(monkeypatch) -> Callable[..., ProgressRate]:
    """Progress after some seconds, in which so many items were done."""

    def progress(seconds: float, done: int, **options: Any) -> ProgressRate:
        rate = ProgressRate(**options)
        rate.done = done
        clock = SimpleNamespace(monotonic=lambda: rate.start + seconds)
        monkeypatch.setattr(module, "time", clock)
        return rate

    return progress


def test_the_text_has_rows_rate_and_time_left(after):
    progress = after(2, 50, total=100)
    assert progress.percent == 50
    assert progress.rate == 25
    assert progress.describe() == "50 of 100 rows, 25 rows/s, 2 s left"


@pytest.mark.parametrize(
    ("unit", "done", "total", "text"),
    [
        ("epochs", 5, 8, "stopped early after 5 of 8 epochs, in 2 s"),
        ("epochs", 8, 8, "8 epochs in 2 s"),
        ("rows", 98, 100, "98 rows in 2 s"),  # some were quarantined
        ("rows", 98, None, "98 rows in 2 s"),
    ],
)
def test_the_last_text_says_how_much_was_done(after, unit, done, total, text):
    progress = after(2, done, total=total, unit=unit)
    assert progress.summary() == text


def test_the_text_without_a_total_has_no_time_left(after):
    progress = after(2, 50, total=None)
    assert progress.percent == 0
    assert progress.describe() == "50 rows, 25 rows/s"


def test_a_slow_rate_is_not_rounded_to_zero(after):
    progress = after(100, 4, total=14, unit="epochs")
    assert progress.rate_text == "0.04 epochs/s"


def test_log_lines_use_the_console_of_the_bar_until_it_ends():
    handler = PrefectConsoleHandler()
    original, bar_console = handler.console, Console(file=io.StringIO())
    logging.getLogger("prefect").addHandler(handler)
    try:
        with route_logs_to(bar_console):
            assert handler.console is bar_console
        assert handler.console is original
    finally:
        logging.getLogger("prefect").removeHandler(handler)


def test_without_a_flow_and_terminal_nothing_is_printed(capsys):
    with progress_bar("ingest", 10) as advance:
        advance(10)
    assert capsys.readouterr().err == ""


def progress_artifacts(key: str) -> list[dict]:
    """Artifacts with a key, the newest first."""
    with get_client(sync_client=True) as client:
        response = client.request("POST", "/artifacts/filter", json={"sort": "CREATED_DESC"})
    return [artifact for artifact in response.json() if artifact["key"] == key]


@task
def chunk(rows: int) -> Ref:
    return Ref(paths=(f"{rows}",), digest="", rows=rows)


def test_gather_keeps_the_order_and_creates_an_artifact(prefect_server):
    @flow
    def gathering() -> list[int]:
        return [ref.rows for ref in gather("preprocess", chunk.map([3, 1, 2]), 6)]

    assert gathering() == [3, 1, 2]
    newest = progress_artifacts("progress-preprocess")[0]
    assert newest["data"] == 100.0
    assert re.fullmatch(r"6 rows in \d+ s", newest["description"])


def test_epochs_written_by_a_training_are_shown(prefect_server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_UPDATES", 0.01)
    descriptions = list[str]()
    monkeypatch.setattr(
        module, "update_progress_artifact", lambda *args: descriptions.append(args[2])
    )

    @task
    def train() -> None:
        with watch_epochs("fit", tmp_path):
            for done in (1, 3):
                write_epoch_progress(tmp_path, done, 4)
                deadline = time.monotonic() + 60
                while not any(text.startswith(f"{done} of 4 epochs") for text in descriptions):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

    flow(train.fn, name="training")()
    assert re.fullmatch(r"stopped early after 3 of 4 epochs, in \d+ s", descriptions[-1])


def unreachable(*_: object, **__: object) -> None:
    raise ConnectionError("no server")


def test_an_unreachable_server_is_logged_once_and_stops_nothing(
    prefect_server, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_UPDATES", 0.0)
    monkeypatch.setattr(module, "update_progress_artifact", unreachable)

    @flow
    def training() -> str:
        with watch_epochs("unreachable", tmp_path), progress_bar("rows", 3) as advance:
            for done in range(1, 4):
                write_epoch_progress(tmp_path, done, 3)
                advance(1)
                time.sleep(0.01)
        return "trained"

    assert training() == "trained"
    warnings = [log.message for log in caplog.records if "is no longer updated" in log.message]
    assert len(warnings) == 2  # one for each display


def test_a_failure_to_create_the_artifact_stops_nothing(prefect_server, monkeypatch):
    monkeypatch.setattr(module, "create_progress_artifact", unreachable)

    @flow
    def reading() -> str:
        with progress_bar("failing", 3) as advance:
            advance(3)
        return "read"

    assert reading() == "read"


def test_a_damaged_epochs_file_and_a_missing_folder_stop_nothing(tmp_path):
    with watch_epochs("fit", tmp_path):
        (tmp_path / EPOCHS_FILE).write_bytes(b"\xff 1 2")
    write_epoch_progress(tmp_path / EPOCHS_FILE / "below", 1, 2)  # cannot be created


def test_a_training_without_epochs_ends_at_100_percent(prefect_server, tmp_path):
    @flow
    def training() -> None:
        with watch_epochs("nothing", tmp_path):
            pass

    training()
    assert progress_artifacts("progress-nothing")[0]["data"] == 100.0
