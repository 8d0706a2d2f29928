"""The ways a person runs the flow, with real processes: make, a server, a worker, a terminal."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.conftest import catalogue, write_csv

pytestmark = [pytest.mark.slow, pytest.mark.integration]
ROOT = Path(__file__).parents[2]
PREFECT = [sys.executable, "-m", "prefect"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(url: str, seconds: int = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - a loopback address made here
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
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """A home and an artifacts root of their own, and the address of the server to be."""
    home = tmp_path_factory.mktemp("prefect")
    return {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "RECOMMENDER_ARTIFACTS": str(home / "artifacts"),
    }


@pytest.fixture(scope="module")
def server(environment) -> Iterator[str]:
    url = environment["PREFECT_API_URL"]
    port = url.split(":")[2].split("/")[0]
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port]
    with running(command, environment):
        wait_for(f"{url}/health")
        yield url


@pytest.fixture(scope="module")
def worker(server, environment) -> Iterator[None]:
    """Deployments registered as the README says, and a worker that runs them."""
    pool = [*PREFECT, "work-pool", "create", "local", "--type", "process"]
    subprocess.run(pool, env=environment, check=True, capture_output=True)
    deploy = subprocess.run(
        [*PREFECT, "deploy", "--all"],
        env=environment | {"PWD": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert deploy.returncode == 0, deploy.stdout + deploy.stderr
    command = [*PREFECT, "worker", "start", "--pool", "local", "--type", "process"]
    with running(command, environment):
        yield


@pytest.fixture
def client(server) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as found:
        yield found


def test_a_worker_runs_the_scheduled_deployment_to_completed(worker, environment, client):
    run = subprocess.run(
        [*PREFECT, "deployment", "run", "train/train-weekly", "--watch"],
        env=environment,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (flow_run,) = client.read_flow_runs()
    assert flow_run.name == "train-default-sample"
    assert flow_run.state_name == "Completed"
    answer = subprocess.run(
        [sys.executable, "-m", "flows.recommend", "Vertical Limit", "--json"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count('"title"') == 10


def test_a_run_from_the_terminal_appears_on_the_server(server, environment, client, tmp_path):
    source = write_csv(tmp_path / "films.csv", catalogue(120))
    run = subprocess.run(
        [sys.executable, "-m", "flows.train", "--source", str(source), "--classifier.epochs", "3"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "F1 micro" in run.stdout
    names = [flow_run.name for flow_run in client.read_flow_runs()]
    assert "train-default-films" in names


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file"),
        ("", "the file is empty"),
        ("id,title,genres\n1,a,[]\n", "no column 'overview'"),
        ("id,title,overview,genres\n", "a header but no rows"),
    ],
)
def test_a_bad_source_through_make_gives_one_sentence(
    tmp_path, content, sentence, server, environment
):
    """`make` finds its environment ready: the marker of this interpreter's own venv."""
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("not run from make's .venv")
    path = tmp_path / "m.csv"
    if content is not None:
        path.write_text(content)
    run = subprocess.run(
        [str(shutil.which("make")), "train", f"SOURCE={path}"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode != 0
    assert sentence in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
