"""A small training run whose stages last long enough to be met at work; how to start one and to
tell how it goes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import mlflow
from prefect.client.orchestration import SyncPrefectClient

from tasks.core.orchestration.progress import EPOCHS_FILE
from tests.conftest import ROOT, catalogue, write_csv

CHUNKS = 8
SETTINGS: dict[str, Any] = {
    "deterministic": True,
    "ingest": {"chunk_rows": 100},
    "doc2vec": {"vector_size": 64, "min_words": 0, "epochs": 40, "infer_epochs": 5},
    "classifier": {"epochs": 8, "patience": None, "batch_size": 8},
}


def flags() -> list[str]:
    """The settings as flags."""
    stages = {stage: values for stage, values in SETTINGS.items() if stage != "deterministic"}
    return ["--deterministic"] + [
        f"--{stage}.{name}={json.dumps(value)}"
        for stage, values in stages.items()
        for name, value in values.items()
    ]


def write_source(folder: Path) -> Path:
    """The file that it trains on."""
    return write_csv(folder / "m.csv", catalogue(CHUNKS * 100))


def entries(root: Path, stage: str) -> set[Path]:
    """Complete entries of a stage."""
    return {record.parent for record in (root / "cache" / stage).glob("[!.]*/ref.json")}


def writing(root: Path, stage: str) -> bool:
    """Whether a writer is at work in a stage."""
    return any((root / "cache" / stage).glob(".writing-*"))


def in_preprocessing(root: Path) -> bool:
    return 1 <= len(entries(root, "documents")) < CHUNKS


def in_doc2vec(root: Path) -> bool:
    return writing(root, "doc2vec")


def in_classifier(root: Path) -> bool:
    """After the first epochs."""
    return any((root / "cache" / "network").glob(f".work-*/{EPOCHS_FILE}"))


def in_indexing(root: Path) -> bool:
    return any((root / "lancedb").glob("*.lance"))


def call(
    command: list[str], environment: dict[str, str], timeout: int = 300, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout
    )


@contextmanager
def started(
    command: list[str], environment: Mapping[str, str], cwd: Path = ROOT, **options: Any
) -> "Iterator[subprocess.Popen[str]]":
    """A program that leads a process group; at the end of the block the whole group is killed."""
    with subprocess.Popen(
        command, env=environment, cwd=cwd, text=True, start_new_session=True, **options
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def start_run(client: SyncPrefectClient, config: dict[str, Any]) -> UUID:
    """Have the worker run the deployment `train`."""
    deployment = client.read_deployment_by_name("train/on-demand")
    parameters = {"config": config}
    return client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id


def ended(client: SyncPrefectClient, run: UUID, seconds: int = 120) -> str:
    """The name of a flow run's last state."""
    deadline = time.monotonic() + seconds
    while not (state := client.read_flow_run(run).state).is_final():
        assert time.monotonic() < deadline, state
        time.sleep(0.5)
    return str(state.name)


def wait_until(reached: Callable[[], bool], seconds: int = 120) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"{reached} is not true after {seconds} s"
        time.sleep(0.002)


def reaches(
    stage: Callable[[Path], bool], process: "subprocess.Popen[str]", root: Path, seconds: int = 180
) -> bool:
    """Wait for a run to be in a stage; False where it ended before anybody saw it there."""
    wait_until(lambda: stage(root) or process.poll() is not None, seconds)
    return process.poll() is None


def statuses(environment: dict[str, str]) -> list[str]:
    """How MLflow has the runs, newest first."""
    client = mlflow.MlflowClient(f"sqlite:///{environment['RECOMMENDER_ARTIFACTS']}/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def answers(environment: dict[str, str], title: str = "Vertical Limit") -> int:
    """Length of the champion's list for a movie; by default, one of the sample."""
    answer = call([sys.executable, "-m", "flows.recommend", title, "--json"], environment)
    assert answer.returncode == 0, answer.stderr
    return len(json.loads(answer.stdout))
