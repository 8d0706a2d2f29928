"""The ways a person runs the flow, with real processes: make, a server, a worker, a terminal."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.conftest import PREFECT, ROOT, catalogue, running, write_csv

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.fixture(scope="module")
def environment(real_server: dict[str, str], tmp_path_factory) -> dict[str, str]:
    """The real server, and an artifacts root of this file's own."""
    root = tmp_path_factory.mktemp("deployed")
    return real_server | {"RECOMMENDER_ARTIFACTS": str(root)}


@pytest.fixture(scope="module")
def worker(environment) -> Iterator[None]:
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
def client(environment) -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as found,
    ):
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


def test_a_run_from_the_terminal_appears_on_the_server(environment, client, tmp_path):
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
def test_a_bad_source_through_make_gives_one_sentence(tmp_path, content, sentence, environment):
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
