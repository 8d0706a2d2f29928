"""The ways a person runs the flow, with real processes: make, a server, a worker, a terminal."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import stack as stack_module
from tests.conftest import PREFECT, ROOT, catalogue, free_port, write_csv
from tests.flows.stages import answers, call, ended, start_run, statuses, wait_until, writing

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Where this file's server answers; an artifacts root and a home of its own."""
    ports = free_port(), free_port()
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "RECOMMENDER_ARTIFACTS": str(tmp_path_factory.mktemp("deployed")),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports[0]}/api",
        "PORTS": " ".join(map(str, ports)),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)  # what an earlier test's MLflow left
    return environment


def stack(environment: dict[str, str], action: str) -> subprocess.CompletedProcess[str]:
    prefect_port, mlflow_port = environment["PORTS"].split()
    flags = ["--prefect_port", prefect_port, "--mlflow_port", mlflow_port]
    return call([sys.executable, "-m", "flows.stack", action, *flags], environment)


@pytest.fixture(scope="module")
def up(environment) -> Iterator[dict[str, int]]:
    """The stack as `make serve` brings it up; what it started, by name."""
    done = stack(environment, "start")
    assert done.returncode == 0, done.stdout + done.stderr
    record = Path(environment["RECOMMENDER_ARTIFACTS"]) / "stack.json"
    yield {name: int(of.split()[0]) for name, of in json.loads(record.read_text()).items()}
    stack(environment, "stop")


@pytest.fixture
def client(environment) -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as found,
    ):
        yield found


def run_weekly(environment: dict[str, str], config: dict[str, object] | None = None) -> None:
    """Trigger the weekly deployment and wait for its end."""
    changed = ["--param", f"config={json.dumps(config)}"] if config else []
    watched = ["deployment", "run", "train/train-weekly", "--watch", *changed]
    run = call([*PREFECT, *watched], environment)
    assert run.returncode == 0, run.stdout + run.stderr


def release(environment: dict[str, str], *arguments: str) -> list[dict[str, str]]:
    run = call([sys.executable, "-m", "flows.release", *arguments, "--json"], environment)
    assert run.returncode == 0, run.stdout + run.stderr
    rows: list[dict[str, str]] = json.loads(run.stdout)["versions"]
    return rows


def roles(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["version"]: row["role"] for row in rows}


def test_a_week_of_the_stack(up, environment, client):
    """Trained and promoted, skipped, a challenger kept back, promoted by hand, rolled back."""
    run_weekly(environment)
    (flow_run,) = client.read_flow_runs()
    assert (flow_run.name, flow_run.state_name) == ("train-default-sample", "Completed")
    answer = call(
        [sys.executable, "-m", "flows.recommend", "Vertical Limit", "--json"], environment
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count('"title"') == 10

    run_weekly(environment)
    assert sorted(run.state_name for run in client.read_flow_runs()) == ["Completed", "Skipped"]
    assert roles(release(environment, "list")) == {"1": "champion"}

    run_weekly(environment, {"source": ["sample"], "doc2vec": {"epochs": 1}})
    rows = release(environment, "list")
    assert roles(rows) == {"2": "", "1": "champion"}
    assert rows[0]["why"]
    assert "promotion-gate" in {artifact.key for artifact in client.read_artifacts()}

    assert roles(release(environment, "promote", "2")) == {"2": "champion", "1": "previous"}
    assert roles(release(environment, "rollback")) == {"2": "previous", "1": "champion"}


def test_every_deployment_is_there_and_waits_for_its_turn(up, client):
    found = {deployment.name: deployment for deployment in client.read_deployments()}
    names = {"train", "train-weekly", "refresh-daily", "recommend-batch", "release"}
    assert set(found) == names
    weekly = found["train-weekly"]
    assert weekly.global_concurrency_limit
    assert weekly.global_concurrency_limit.limit == 1
    (schedule,) = weekly.schedules
    assert (schedule.active, schedule.schedule.cron) == (True, "0 4 * * 1")


def test_a_run_from_the_terminal_appears_on_the_server(up, environment, client, tmp_path):
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


#: Stages in which a run dies, by their folder in the cache, and what makes it work there anew.
DEATHS: dict[str, dict[str, Any]] = {
    "doc2vec": {"doc2vec": {"seed": 1}},
    "documents": {"refresh": True},
    "classifier": {"classifier": {"seed": 2}},
    "lists": {"doc2vec": {"seed": 3}},
}


@pytest.mark.endurance
@pytest.mark.parametrize("stage", DEATHS)
def test_a_run_of_the_worker_that_is_killed_loses_nothing(stage, up, environment, client):
    root = Path(environment["RECOMMENDER_ARTIFACTS"])
    if not release(environment, "list"):
        run_weekly(environment)
    before, config = roles(release(environment, "list")), {"source": ["sample"], **DEATHS[stage]}
    run = start_run(client, config)
    wait_until(lambda: writing(root, stage))
    for process in psutil.Process(up["worker"]).children(recursive=True):
        process.send_signal(signal.SIGKILL)
    assert ended(client, run) == "Crashed"
    assert roles(release(environment, "list")) == before
    assert answers(environment) == 10
    assert ended(client, start_run(client, config)) == "Completed"
    assert "RUNNING" not in statuses(environment)
    assert answers(environment) == 10


@pytest.mark.endurance
def test_a_run_without_end_is_cancelled(up, environment, client, tmp_path):
    """By the shipped automation, that here waits for seconds and not for a day."""
    automation = yaml.safe_load(stack_module.AUTOMATIONS["cancel-endless-runs"].read_text())
    automation["name"], automation["trigger"]["within"] = "soon", 20
    (tmp_path / "soon.yaml").write_text(yaml.safe_dump(automation))
    made = call([*PREFECT, "automation", "create", "-f", str(tmp_path / "soon.yaml")], environment)
    assert made.returncode == 0, made.stderr
    endless = {"epochs": 1_000_000, "max_words": 10**12}
    run = start_run(client, {"source": ["sample"], "doc2vec": endless})
    assert ended(client, run, 240) == "Cancelled"
    wait_until(lambda: not psutil.Process(up["worker"]).children(recursive=True))
    assert "RUNNING" not in statuses(environment)


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


def test_a_second_stack_is_refused_and_the_first_one_stops_whole(up, environment):
    """The last test of this file: nothing is up after it."""
    again = stack(environment, "start")
    assert again.returncode == 2
    assert "The stack is up already" in again.stderr
    family = [
        one
        for process in map(psutil.Process, up.values())
        for one in (process, *process.children(recursive=True))
    ]
    done = stack(environment, "stop")
    assert done.stdout == "Stopped: worker, mlflow, prefect.\n"
    assert not [one for one in family if one.is_running() and one.status() != "zombie"]
    assert stack(environment, "stop").stdout == "Nothing of the stack was running.\n"
