import io
import logging
import time

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console

from tasks.core import progress as module
from tasks.core.contracts import Ref
from tasks.core.progress import (
    ProgressRate,
    gather,
    progress_bar,
    route_logs_to,
    watch_epochs,
    write_epoch_progress,
)


def test_the_pace_tells_rows_rate_and_time_left():
    pace = ProgressRate(total=100)
    pace.start, pace.done = time.monotonic() - 2, 50
    assert pace.percent == 50
    assert pace.rate == pytest.approx(25, rel=0.1)
    assert pace.describe() == "50 of 100 rows, 25 rows/s, 2 s left"


def test_the_pace_of_an_unknown_total_has_no_end():
    pace = ProgressRate(total=None)
    pace.start, pace.done = time.monotonic() - 2, 50
    assert pace.percent == 0
    assert pace.describe() == "50 rows, 25 rows/s"


def test_log_lines_go_above_the_bar_and_the_console_comes_back():
    handler = PrefectConsoleHandler()
    before, during = handler.console, Console(file=io.StringIO())
    logging.getLogger("prefect").addHandler(handler)
    try:
        with route_logs_to(during):
            assert handler.console is during
        assert handler.console is before
    finally:
        logging.getLogger("prefect").removeHandler(handler)


def test_outside_a_flow_progress_is_only_a_bar(capsys):
    with progress_bar("ingest", 10) as advance:
        advance(10)
    assert capsys.readouterr().err == ""


@task
def chunk(rows: int) -> Ref:
    return Ref(paths=(f"{rows}",), digest="", rows=rows)


def test_gathering_keeps_order_and_shows_an_artifact(prefect_server):
    @flow
    def gathering() -> list[int]:
        return [ref.rows for ref in gather("preprocess", chunk.map([3, 1, 2]), 6)]

    assert gathering() == [3, 1, 2]
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"sort": "CREATED_DESC"})
    found = [made for made in answer.json() if made["key"] == "progress-preprocess"]
    assert found[0]["data"] == 100.0
    assert found[0]["description"].startswith("6 of 6 rows")


def test_the_passes_of_a_training_elsewhere_are_followed(prefect_server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_UPDATES", 0.01)
    seen = list[str]()
    monkeypatch.setattr(module, "update_progress_artifact", lambda *update: seen.append(update[2]))

    @task
    def train() -> None:
        with watch_epochs("fit", tmp_path):
            for done in (1, 3):
                write_epoch_progress(tmp_path, done, 4)
                deadline = time.monotonic() + 5
                while not any(text.startswith(f"{done} of 4 passes") for text in seen):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

    flow(train.fn, name="training")()
    assert seen[-1].startswith("3 of 4 passes")


def unreachable(*_: object, **__: object) -> None:
    raise ConnectionError("no server")


def test_a_server_that_is_away_costs_no_training_and_is_said_in_a_line(
    prefect_server, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_UPDATES", 0.0)
    monkeypatch.setattr(module, "update_progress_artifact", unreachable)

    @flow
    def training() -> str:
        with watch_epochs("away", tmp_path), progress_bar("rows", 3) as advance:
            for done in range(1, 4):
                write_epoch_progress(tmp_path, done, 3)
                advance(1)
                time.sleep(0.01)
        return "trained"

    assert training() == "trained"
    said = [record.message for record in caplog.records if "is shown no further" in record.message]
    assert len(said) == 2  # of each of the two that are shown


def test_an_artifact_that_cannot_be_made_costs_nothing(prefect_server, monkeypatch):
    monkeypatch.setattr(module, "create_progress_artifact", unreachable)

    @flow
    def reading() -> str:
        with progress_bar("unmade", 3) as advance:
            advance(3)
        return "read"

    assert reading() == "read"


def test_damaged_passes_and_a_deleted_folder_cost_no_training(tmp_path):
    with watch_epochs("fit", tmp_path):
        (tmp_path / "passes").write_bytes(b"\xff 1 2")
    write_epoch_progress(tmp_path / "passes" / "below", 1, 2)  # a folder that cannot be made


def test_a_training_that_ends_at_once_is_done(prefect_server, tmp_path):
    @flow
    def training() -> None:
        with watch_epochs("nothing", tmp_path):
            pass

    training()
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"sort": "CREATED_DESC"})
    found = [made for made in answer.json() if made["key"] == "progress-nothing"]
    assert found[0]["data"] == 100.0
