"""Prefect's server is killed in the middle of a run, and started again."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.conftest import PREFECT, free_port, running, wait_for
from tests.support.run_stages import answers, call, ended, start_run, statuses, wait_until, writing

pytestmark = [pytest.mark.endurance]
Server = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    variables = os.environ | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
    }
    variables.pop("MLFLOW_TRACKING_URI", None)
    return variables


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Server]:
    """Start Prefect's server, always on the same port and database."""
    started = []

    def start() -> "subprocess.Popen[bytes]":
        port = environment["PREFECT_API_URL"].split(":")[-1].removesuffix("/api")
        command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port]
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=-3)
        )
        wait_for(f"{environment['PREFECT_API_URL']}/health")
        return started[-1]

    yield start
    for process in started:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """With -9, and all that it has started."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()
    process.wait()


def test_a_run_outlives_its_server(serve, environment):
    """It ends well or is marked; nothing that was published is lost, and the next run completes."""
    server = serve()
    for arguments in (["work-pool", "create", "local", "--type", "process"], ["deploy", "--all"]):
        done = call([*PREFECT, "--no-prompt", *arguments], environment)
        assert done.returncode == 0, done.stderr
    with (
        running([*PREFECT, "worker", "start", "--pool", "local"], environment),
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        assert ended(client, start_run(client, {"source": ["sample"]})) == "Completed"
        config = {"source": ["sample"], "doc2vec": {"seed": 1}}
        run = start_run(client, config)
        wait_until(lambda: writing(Path(environment["RECOMMENDER_ARTIFACTS"]), "doc2vec"))
        kill(server)
        serve()
        state = ended(client, run, 300)
        assert state in ("Completed", "Failed", "Crashed")
        assert state != "Completed" or statuses(environment)[0] == "FINISHED"
        assert answers(environment) == 10
        assert ended(client, start_run(client, config), 300) == "Completed"
        assert "RUNNING" not in statuses(environment)
