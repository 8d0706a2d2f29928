"""Fixtures of all tests: an artifacts root of their own, tiny catalogues, a Prefect server.

A fixture imports the libraries that only it needs: the process that hands tests to others, and
unit tests, begin seconds sooner.
"""

from __future__ import annotations

import csv
import gc
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import hypothesis
import pytest
from filelock import FileLock

from flows.runtime.garbage import THRESHOLDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
PREFECT = [sys.executable, "-m", "prefect"]
#: Variables that commands set for the rest of their process.
OF_COMMANDS = (
    *("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"),
    "MLFLOW_TRACKING_URI",
)
#: Parts of Prefect's server that a single run does not use; they take a third of its CPU time.
#: The server of `tests/system/test_deployment.py` runs all of them.
WITHOUT_SERVICES = {
    f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false"
    for name in (
        *("CANCELLATION_CLEANUP", "CLEANUP_RECONCILER", "EVENT_PERSISTER", "FOREMAN", "LATE_RUNS"),
        *("PAUSE_EXPIRATIONS", "REPOSSESSOR", "SCHEDULER", "TRIGGERS"),
    )
} | {"PREFECT_SERVER_UI_ENABLED": "false"}
COLUMNS = ["adult", "belongs_to_collection", "genres", "id", "overview", "release_date", "title"]
#: Words that make a genre easy to tell, so that tiny catalogues can be learnt.
THEMES = {
    "Horror": ["ghost", "haunted", "blood", "monster", "scream", "grave", "curse", "midnight"],
    "Western": ["sheriff", "cowboy", "saloon", "ranch", "outlaw", "horse", "frontier", "bandit"],
    "Music": ["singer", "band", "concert", "guitar", "piano", "melody", "chorus", "stage"],
}


#: The files that take longest, in this order.
LONGEST = (
    "tests/system/test_deployment.py",
    "tests/system/test_tour.py",
    "tests/system/test_team_servers.py",
    "tests/system/test_docs_commands.py",
    "tests/flow/test_train.py",
    "tests/system/test_kill.py",
    "tests/system/test_at_once.py",
    "tests/system/test_secrets.py",
    "tests/flow/test_resume.py",
    "tests/flow/test_release.py",
)


#: Reasons to skip a test on a machine that has everything that can be installed.
ACCEPTED_SKIPS = (
    "CUDA",
    "mounting is not allowed here",
    "only root can mount a disk",
    "only root can be another user",
    "not run from make's .venv",
    "the files of strangers are not here",
)

gc.set_threshold(*THRESHOLDS)  # those of the commands; unit tests take a sixth less time

# Programs that the tests start are ended by SIGINT, which a test run in the background ignores.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples are slow on a busy machine, not wrong.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--endurance", action="store_true", help="run the endurance tests alone")
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail where a program or package that a test needs is not installed",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the endurance tests out, or all others; what takes long begins first.

    This also holds in random order, and so do the marks `first` and `last`.
    """
    wanted = [
        item for item in items if has_mark(item, "endurance") == config.getoption("--endurance")
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    places = {ROOT / name: place for place, name in enumerate(LONGEST)}
    wanted.sort(key=lambda item: has_mark(item, "last") - has_mark(item, "first"))
    items[:] = sorted(wanted, key=lambda item: places.get(item.path, len(places)))


def has_mark(item: pytest.Item, name: str) -> bool:
    return item.get_closest_marker(name) is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport]:
    """With `--no-skips` a test that was skipped has failed, unless its reason is accepted."""
    report: pytest.TestReport = yield
    if report.skipped and item.config.getoption("--no-skips"):
        reason = str(report.longrepr)
        if not any(accepted in reason for accepted in ACCEPTED_SKIPS):
            report.outcome, report.longrepr = "failed", reason
    return report


def movie(number: int, genre: str) -> dict[str, str]:
    """A movie whose overview is made of its genre's words."""
    words = THEMES[genre]
    chosen = [words[(number * step + step) % len(words)] for step in (1, 3, 5, 7, 2)]
    return {
        "adult": "False",
        "genres": f"[{{'id': 1, 'name': '{genre}'}}]",
        "id": str(1000 + number),
        "overview": f"Chapter {number} tells of {' and '.join(chosen)} in town {number}.",
        "release_date": f"{1950 + number % 60}-02-03",
        "title": f"{genre} Story {number}",
    }


def catalogue(count: int) -> list[dict[str, str]]:
    """`count` movies that go through the themes in turn."""
    genres = list(THEMES)
    return [movie(number, genres[number % len(genres)]) for number in range(count)]


def write_csv(path: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> Path:
    """Write rows as a CSV file with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(url: str, seconds: int = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=10):  # noqa: S310 - a loopback address made here
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(url)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """A program in the background, that is killed where asking it to stop is not enough."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory) -> Path:
    """Where the first server of any worker leaves a copy of its new database for the others.

    Prefect needs six seconds of CPU time to create its tables.
    """
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prefect.db"


def copy_database(database: Path, copy: Path) -> None:
    """Copy an SQLite database that may be in use; the copy appears when it is whole."""
    new = copy.with_suffix(".new")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(new)) as target:
        source.backup(target)
    new.rename(copy)


@pytest.fixture(scope="session")
def real_server(tmp_path_factory, migrated_database) -> Iterator[dict[str, str]]:
    """A Prefect server in a process and a home of its own: the environment that leads to it."""
    home, port = tmp_path_factory.mktemp("prefect"), str(free_port())
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)  # what an earlier test's MLflow left
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port]
    with ExitStack() as stack:
        lock = stack.enter_context(FileLock(f"{migrated_database}.lock"))
        is_first = not migrated_database.exists()
        if not is_first:
            lock.release()
            shutil.copy(migrated_database, home / "prefect.db")
        stack.enter_context(running(command, environment | WITHOUT_SERVICES))
        wait_for(f"{environment['PREFECT_API_URL']}/health")
        if is_first:
            copy_database(home / "prefect.db", migrated_database)
            lock.release()
        yield environment


@pytest.fixture(scope="session")
def object_store() -> Iterator[dict[str, str]]:
    """An S3 server with a bucket `movies`: the environment that leads to it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    login = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - of a server that lives as long as the tests
    ).create_bucket(Bucket="movies")
    where = {"AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
    yield login | where | {"AWS_EC2_METADATA_DISABLED": "true"}
    server.stop()


@pytest.fixture(autouse=True)
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artifacts root that no other test sees."""
    root = tmp_path / "artifacts"
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(root))
    for name in OF_COMMANDS:
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def dask() -> Iterator[None]:
    """Dask's workers of this process end with the test: idle, they cost a core some percent."""
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    from tasks.core.compute import connect_to_dask

    yield
    connect_to_dask(None).close()
    connect_to_dask.cache_clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file: while it is up, its event loop is this thread's."""
    from tests.support.browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def prefect_server(real_server) -> Iterator[None]:
    """The server of the flows that tests run in their own process."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from tests.support.prefect_queues import send_queued

    with temporary_settings({PREFECT_API_URL: real_server["PREFECT_API_URL"]}):
        yield
        send_queued()


@contextmanager
def blank_figures() -> Iterator[None]:
    """Figures of trainings in this process are made, but written as blank images.

    To render them takes a third of a tiny training. The training that flow tests share and the
    tests of the commands render them.
    """
    from matplotlib.figure import Figure

    def save(figures: Mapping[str, Figure | None], folder: Path) -> None:
        for name, figure in figures.items():
            if figure:
                Figure(figsize=(0.1, 0.1)).savefig(folder / f"{name}.png")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.reports.plots.save_figures", save)
        yield


@pytest.fixture(scope="module", name="blank_figures")
def blank_figures_of_module() -> Iterator[None]:
    """`blank_figures` for the tests of a file and the trainings of its fixtures."""
    with blank_figures():
        yield
