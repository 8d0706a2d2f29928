"""A run that is killed with -9 in any stage loses nothing: the rerun reuses what was finished."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import boto3
import mlflow
import pytest

from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.train import train
from tasks.core.storage.entry_record import sha256_of
from tasks.registry.tracking.metric_groups import without_groups
from tests.conftest import ROOT
from tests.support.run_stages import (
    call,
    entries,
    flags,
    in_classifier,
    in_doc2vec,
    in_indexing,
    in_preprocessing,
    reaches,
    started,
    write_source,
)

pytestmark = pytest.mark.long
ATTEMPTS = 5  # to meet a run in a stage
VARYING = ("second", "memory", "system/")  # metrics that no two runs share

STAGES: dict[Callable[[Path], bool], set[str]] = {
    in_preprocessing: {"ingest"},
    in_doc2vec: {"ingest", "documents"},  # labels are made at the same time
    in_classifier: {"ingest", "documents", "labels", "doc2vec", "vectors"},
    in_indexing: {"ingest", "documents", "doc2vec", "vectors", "network", "rows"},
}


#: Stages that a run and the reruns after it are killed in; all but the first for endurance.
KILLS = [
    (in_classifier,),
    pytest.param((in_doc2vec, in_classifier), marks=pytest.mark.endurance),
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
    done = call(command, environment, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return final_metrics(root)


def final_metrics(root: Path) -> dict[str, float]:
    """Of the last run that finished, without those that are times."""
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    run = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")[0]
    return {
        name: value
        for name, value in without_groups(run.data.metrics).items()
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
    environment = {"RECOMMENDER_ARTIFACTS": str(root), **server}
    with (
        TemporaryFile("w+") as output,
        started(command, environment, cwd, stdout=output, stderr=output) as process,
    ):
        is_met = reaches(stage, process, root)
        output.seek(0)
        assert is_met or process.returncode == 0, output.read()
    return is_met


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
    for root in (tmp_path / str(attempt) for attempt in range(ATTEMPTS)):
        before = finished_before_kills(stages, command, root, real_server)
        if before:
            break
    assert before, f"none of {ATTEMPTS} runs was met in each of {stages}"
    assert run_to_end(command, root, real_server) == undisturbed.metrics
    assert cached_files(root) == cached_files(undisturbed.root)
    assert {record: state_of(record) for record in before} == before


def stored_records(store: dict[str, str], folder: str) -> dict[str, tuple[datetime, str]]:
    """Time and digest of the record of every entry on the S3 server, by its name."""
    client = boto3.client(
        "s3",
        endpoint_url=store["AWS_ENDPOINT_URL"],
        region_name=store["AWS_REGION"],
        aws_access_key_id=store["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=store["AWS_SECRET_ACCESS_KEY"],
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="movies", Prefix=folder)
    files = [file for page in pages for file in page.get("Contents", [])]
    return {
        file["Key"]: (file["LastModified"], file["ETag"])
        for file in files
        if file["Key"].endswith("/ref.json")
    }


def stages_of(records: Iterable[str]) -> set[str]:
    """Stages of the records of entries, named `…/cache/stage/key/ref.json`."""
    return {record.split("/")[-3] for record in records}


def killed_on_the_store(
    command: list[str], server: dict[str, str], folder: Path
) -> tuple[Path, dict[str, str]]:
    """Kill a run with an artifacts root on the S3 server in the classifier.

    Returns the folder of its MLflow database, whose name is that of the root, and its environment.
    """
    for root in (folder / f"team-{attempt}" for attempt in range(ATTEMPTS)):
        machine = root / "one"
        machine.mkdir(parents=True)
        shared = {
            "RECOMMENDER_ARTIFACTS": f"s3://movies/{root.name}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
        }
        local = machine / "artifacts" / f"s3-movies-{root.name}"
        stage = partial(in_classifier_of, local)
        if killed_in(stage, command, root, server | shared, machine):
            return root, server | shared
    pytest.fail(f"none of {ATTEMPTS} runs was met in the classifier")


def in_classifier_of(local: Path, _: Path) -> bool:
    """Whether the run whose local copy of the artifacts root this is trains the classifier."""
    return in_classifier(local)


@pytest.mark.endurance
def test_another_machine_finishes_a_run_on_an_object_store(
    command, undisturbed, real_server, object_store, tmp_path
):
    """Cache, index and MLflow's files lie on the S3 server; a machine is a folder of its own."""
    root, environment = killed_on_the_store(command, real_server | object_store, tmp_path)
    before = stored_records(environment, f"{root.name}/cache/")
    assert stages_of(before) >= STAGES[in_classifier]
    machines = [root / name for name in ("two", "three")]
    for machine in machines:
        machine.mkdir()
    assert run_to_end(command, root, environment, machines[0]) == undisturbed.metrics
    after = stored_records(environment, f"{root.name}/cache/")
    assert {record: after.get(record) for record in before} == before  # read, not written again
    assert "network" in stages_of(after.keys() - before.keys())
    ask = [sys.executable, "-m", "flows.recommend", "Horror Story 0", "--json"]
    answer = call(ask, environment, cwd=machines[1])
    assert answer.returncode == 0, answer.stderr
    assert len(json.loads(answer.stdout)) == 10
