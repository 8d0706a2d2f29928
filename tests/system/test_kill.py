"""A run that is killed with -9 in any stage loses nothing: the rerun reuses what was finished."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest

from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.train import train
from tasks.core.storage.entry_record import sha256_of
from tests.conftest import ROOT
from tests.support.run_stages import (
    entries,
    flags,
    in_classifier,
    in_doc2vec,
    in_indexing,
    in_preprocessing,
    write_source,
)

VARYING = ("second", "memory", "system/")  # metrics that no two runs share

STAGES: dict[Callable[[Path], bool], set[str]] = {
    in_preprocessing: {"ingest"},
    in_doc2vec: {"ingest", "documents"},  # labels are made at the same time
    in_classifier: {"ingest", "documents", "labels", "doc2vec", "vectors"},
    in_indexing: {"ingest", "documents", "doc2vec", "vectors", "classifier", "rows"},
}


#: Stages that a run and the reruns after it are killed in. The others are for endurance: they take
#: minutes more, and show the same of cheaper stages.
KILLS = [
    (in_doc2vec, in_classifier),
    pytest.param((in_preprocessing,), marks=pytest.mark.endurance),
    pytest.param((in_indexing,), marks=pytest.mark.endurance),
]


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    source = write_source(tmp_path_factory.mktemp("source"))
    return [sys.executable, "-m", "flows.train", "--source", str(source), *flags()]


def run_to_end(
    command: list[str], root: Path, server: dict[str, str], cwd: Path = ROOT
) -> dict[str, float]:
    """The metrics of a run that is left alone."""
    environment = {"RECOMMENDER_ARTIFACTS": str(root), **server}
    options = {"capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(command, cwd=cwd, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return final_metrics(root)


def final_metrics(root: Path) -> dict[str, float]:
    """Of the last run that finished, without those that are times."""
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    run = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")[0]
    return {
        name: value
        for name, value in run.data.metrics.items()
        if not any(part in name for part in VARYING)
    }


def cached_files(root: Path) -> dict[str, str]:
    """SHA-256 of every file of every entry, but for what holds times of a training.

    Runs are processes of their own, and so the order of their sets is not the same.
    """
    files = (path for path in (root / "cache").glob("[!.]*/[!.]*/**/*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): sha256_of(path)
        for path in files
        if path.name not in ("training.json", "ref.json")  # ref.json: digests of the other
    }


class Undisturbed(NamedTuple):
    """A run that was left alone."""

    root: Path
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def undisturbed(command, prefect_server, tmp_path_factory) -> Undisturbed:
    """Run here: another program would import everything again."""
    root = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        train(parse(TrainConfig, "train", command[command.index("--source") :]))
    return Undisturbed(root, final_metrics(root))


def killed_in(
    stage: Callable[[Path], bool],
    command: list[str],
    root: Path,
    server: dict[str, str],
    cwd: Path = ROOT,
) -> bool:
    """Start the command, and kill it and all its processes with -9 once it is in the stage.

    False where it got through before anybody looked: on a busy machine a stage may be too short.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={"RECOMMENDER_ARTIFACTS": str(root), **server},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 180
    while not stage(root):
        if process.poll() is not None:
            assert process.returncode == 0
            return False
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return True


def state_of(record: Path) -> tuple[int, Any]:
    """Inode and content: a record that is written again has another inode."""
    return record.stat().st_ino, json.loads(record.read_text())


def finished_before_kills(
    stages: Sequence[Callable[[Path], bool]], command: list[str], root: Path, server: dict[str, str]
) -> dict[Path, tuple[int, Any]]:
    """Kill a run, and its reruns, in one stage after the other: the records of what each had
    finished, as they were after the kill. Empty where a run got through."""
    states: dict[Path, tuple[int, Any]] = {}
    for stage in stages:
        if not killed_in(stage, command, root, server):
            return {}
        finished = [entries(root, name) for name in STAGES[stage]]
        assert all(finished)
        records = [entry / "ref.json" for entry in set().union(*finished)]
        states = {record: state_of(record) for record in records} | states
    return states


@pytest.mark.parametrize("stages", KILLS)
def test_a_killed_run_is_finished_by_the_next(stages, command, undisturbed, real_server, tmp_path):
    for root in (tmp_path / str(attempt) for attempt in range(5)):
        before = finished_before_kills(stages, command, root, real_server)
        if before:
            break
    assert before
    assert run_to_end(command, root, real_server) == undisturbed.metrics
    assert cached_files(root) == cached_files(undisturbed.root)
    assert {record: state_of(record) for record in before} == before


def test_another_machine_finishes_a_run_on_an_object_store(
    command, undisturbed, real_server, object_store, tmp_path
):
    """Cache, index and MLflow's files lie on the S3 server; a machine is a folder of its own."""
    url = "s3://movies/team"
    registry = f"sqlite:///{tmp_path}/mlflow.db"
    shared = {"RECOMMENDER_ARTIFACTS": url, "MLFLOW_TRACKING_URI": registry}
    environment = real_server | object_store | shared
    machines = [tmp_path / name for name in ("one", "two", "three")]
    for machine in machines:
        machine.mkdir()
    local = machines[0] / "artifacts" / "s3-movies-team"
    assert killed_in(lambda _: in_classifier(local), command, tmp_path, environment, machines[0])
    assert run_to_end(command, tmp_path, environment, machines[1]) == undisturbed.metrics
    trained = machines[1] / "artifacts" / "s3-movies-team" / "cache"
    assert not any(trained.glob("doc2vec/.w*"))  # fetched, not trained again
    assert not (trained / "documents").exists() or not any(trained.glob("documents/.w*"))
    ask = [sys.executable, "-m", "flows.recommend", "Horror Story 0", "--json"]
    options = {"capture_output": True, "text": True, "timeout": 120}
    answer = subprocess.run(ask, cwd=machines[2], env=environment, **options)
    assert answer.returncode == 0, answer.stderr
    assert len(json.loads(answer.stdout)) == 10
