"""The command that a failed run prints goes on with it, for every flow and whatever its files are
called."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL

from flows.batch import BatchConfig, batch
from flows.refresh import RefreshConfig, refresh
from flows.runtime.parameters import FlowParameters
from flows.train import train
from tasks.core.contracts import UserError
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import ROOT, catalogue, write_csv
from tests.support.prefect_artifacts import latest_failure
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server")
AWKWARD = """it's "1", [x] = null & $HOME.csv"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty artifacts root whose name has blanks."""
    folder: Path = tmp_path / "an artifacts root"
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(folder))
    return folder


def run_printed_command() -> subprocess.CompletedProcess[str]:
    """Run what the failure artifact says, in a shell that knows this run's Prefect server alone."""
    command = latest_failure().split("```")[1]
    environment = {name: value for name, value in os.environ.items() if "RECOMMENDER" not in name}
    environment.pop("MLFLOW_TRACKING_URI", None)
    environment["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
    return subprocess.run(
        ["sh", "-c", command], env=environment, cwd=ROOT, capture_output=True, text=True
    )


def fails(flow: Flow[..., Any], config: FlowParameters, message: str) -> None:
    with pytest.raises(UserError, match=message):
        flow(config)


def resumes() -> str:
    done = run_printed_command()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_training_is_resumed(root, tmp_path):
    source = tmp_path / AWKWARD
    write_csv(source, catalogue(120) + [row | {"id": "x"} for row in catalogue(60)])
    config = settings(source, preset="default")
    fails(train, config, "33% of the rows are invalid")
    write_csv(source, catalogue(60))
    assert "F1 micro" in resumes()
    (trained, failed) = connect().search_runs(["1"])
    assert (trained.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert trained.data.params == failed.data.params


def test_a_refresh_is_resumed(trained_root, tmp_path):
    new = tmp_path / f"-{AWKWARD}"
    fails(refresh, RefreshConfig(file=str(new)), "No such file")
    write_csv(new, [row | {"id": "9001"} for row in catalogue(1)])
    assert "1 added" in resumes()


def test_a_batch_is_resumed(trained_root, tmp_path):
    titles, output = tmp_path / AWKWARD, tmp_path / f"{AWKWARD}.parquet"
    fails(batch, BatchConfig(file=str(titles), output=str(output), limit=3), "Cannot read")
    titles.write_text("title\nMusic Story 2\n")
    assert "Lists are in" in resumes()
    assert output.exists()
