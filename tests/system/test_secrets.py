"""Credentials of a source appear in nothing that a run writes, prints or tells Prefect."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort, LogSort, TaskRunSort
from prefect.settings import PREFECT_API_URL

from flows.train import train
from tasks.core.contracts import UserError
from tests.conftest import ROOT, catalogue, write_csv
from tests.support.http_server import served
from tests.support.prefect_queues import send_queued
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server")
USER, PASSWORD, SIGNATURE = "alice4711", "s3cr3t", "51gnatur3"
SECRETS = (USER, PASSWORD, SIGNATURE)
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def server(tmp_path) -> Iterator[str]:
    """A server that serves `movies.csv` to who has login and signature: its signed address."""
    content = write_csv(tmp_path / "movies.csv", catalogue(60)).read_bytes()

    class Files(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == f"Basic {LOGIN}" and SIGNATURE in self.path
            ok = allowed and self.path.startswith("/movies.csv")
            self.send_response(200 if ok else 403)
            self.send_header("Content-Length", str(len(content) if ok else 0))
            self.end_headers()
            if ok and self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Files)) as address:
        yield address.replace("//", f"//{USER}:{PASSWORD}@")


def signed(server: str, name: str) -> str:
    return f"{server}/{name}?X-Amz-Credential={USER}&X-Amz-Signature={SIGNATURE}/x.csv"


def secrets_in(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in content]


def leaks_of_files(root: Path) -> list[str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {"mlflow.db", "report.html"} <= {path.name for path in files}
    return [str(path) for path in files if secrets_in(str(path).encode() + path.read_bytes())]


def leaks_of_prefect() -> list[str]:
    """Logs, artifacts and runs that name a secret; parameters alone hold the source as given."""
    send_queued()
    with get_client(sync_client=True) as client:  # it answers with the first 200 of a kind
        flow_runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
        task_runs = client.read_task_runs(sort=TaskRunSort.EXPECTED_START_TIME_DESC)
        runs = [run.model_dump_json(exclude={"parameters"}) for run in flow_runs]
        runs += [run.model_dump_json() for run in task_runs]
        newest = client.read_artifacts(sort=ArtifactSort.CREATED_DESC)
        artifacts = [artifact.model_dump_json() for artifact in newest]
        logs = [log.model_dump_json() for log in client.read_logs(sort=LogSort.TIMESTAMP_DESC)]
    assert runs
    assert artifacts
    assert logs
    return [text for text in [*runs, *artifacts, *logs] if secrets_in(text.encode())]


def run_in_terminal(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    command = [sys.executable, "-m", "flows.train", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, timeout=300)


@pytest.mark.long
def test_nothing_that_a_training_leaves_has_the_credentials_of_its_source(server, artifacts):
    quick = ["--doc2vec.epochs=2", "--doc2vec.min_words=0", "--classifier.epochs=2"]
    done = run_in_terminal(f"--source={signed(server, 'movies.csv')}", *quick)
    assert done.returncode == 0, done.stderr
    assert not secrets_in(done.stdout + done.stderr)
    assert b"movies.csv: held-out" in done.stdout
    assert leaks_of_files(artifacts) == []
    assert leaks_of_prefect() == []


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_source_that_is_refused_in_the_terminal_is_named_without_credentials(server, debug):
    done = run_in_terminal(f"--source={signed(server, 'other.csv')}", *debug)
    assert done.returncode != 0
    assert b"Cannot read http://***@127.0.0.1:" in done.stderr
    assert b"403" in done.stderr
    assert not secrets_in(done.stdout + done.stderr)


def test_a_run_that_fails_tells_prefect_no_credentials(server, caplog, capfd, artifacts):
    with pytest.raises(UserError, match="403"):
        train(settings(signed(server, "other.csv")))
    assert leaks_of_prefect() == []
    assert not secrets_in("".join([caplog.text, *capfd.readouterr()]).encode())
    leaks = [path for path in artifacts.rglob("*") if path.is_file()]
    assert not [path for path in leaks if secrets_in(path.read_bytes())]
