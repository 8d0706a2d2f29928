"""Which versions, runs and files a clean-up deletes, with a stand-in for MLflow."""

import logging
import os
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    RESOURCE_DOES_NOT_EXIST,
)

from tasks.core.storage import store
from tasks.registry import retention
from tasks.registry.config import RetentionConfig
from tasks.registry.retention import (
    FILES_DELETED,
    LARGE_ARTIFACTS,
    clean_up,
    delete_failed_models,
    delete_files,
    delete_large_artifacts,
    delete_model,
    delete_old_logs,
    drop_unused_indexes,
    failed_runs,
    has_ended,
    index_run_id,
    retire_versions,
    runs_in_use,
    split_by_retention,
)
from tests.support.logs import messages

DAY = 86_400.0


def version(number: int, trained_by: str | None, registered_by: str = "") -> SimpleNamespace:
    """A registered version; `trained_by` is None for one of another program."""
    tags = {"run_id": trained_by, "index_tag": f"run-i{number}"} if trained_by else {}
    run_id = registered_by or trained_by or "foreign"
    return SimpleNamespace(
        version=str(number), tags=tags, run_id=run_id, source=f"models:/m-{number}"
    )


def numbers(versions: list[SimpleNamespace]) -> list[int]:
    return [int(item.version) for item in versions]


def run(run_id: str, status: str = "FINISHED", **tags: str) -> SimpleNamespace:
    return SimpleNamespace(
        info=SimpleNamespace(run_id=run_id, status=status, artifact_uri=f"files/{run_id}"),
        data=SimpleNamespace(tags=tags),
    )


def missing(code: int = RESOURCE_DOES_NOT_EXIST) -> MlflowException:
    return MlflowException("gone", error_code=code)


class Registry:
    """A client of MLflow in memory: runs, models and versions, newest first."""

    def __init__(self, versions: list[SimpleNamespace], runs: list[SimpleNamespace]) -> None:
        self.versions = versions
        self.runs = {item.info.run_id: item for item in runs}
        self.models = {f"m-{item.version}" for item in versions}
        self.queries: list[str] = []

    def get_run(self, run_id: str) -> SimpleNamespace:
        if run_id not in self.runs:
            raise missing()
        return self.runs[run_id]

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.runs[run_id].data.tags[name] = value

    def get_logged_model(self, model: str) -> SimpleNamespace:
        if model not in self.models:
            raise missing()
        return SimpleNamespace(artifact_location=f"models/{model}")

    def delete_logged_model(self, model: str) -> None:
        self.models.remove(model)

    def search_logged_models(self, experiments: list[str], query: str) -> list[SimpleNamespace]:
        assert experiments == ["7"]
        models = {"source_run_id = 'failed'": ["m-failed"]}
        return [SimpleNamespace(model_id=model) for model in models.get(query, [])]

    def delete_model_version(self, name: str, number: str) -> None:
        assert name == retention.MODEL
        self.versions = [item for item in self.versions if item.version != number]

    def search_runs(self, experiments: list[str], query: str) -> list[SimpleNamespace]:
        assert experiments == ["7"]
        self.queries.append(query)
        status = query.split("attributes.status = ")[1].strip("'")
        return [item for item in self.runs.values() if item.info.status == status]


@pytest.fixture
def deleted_files(monkeypatch) -> list[tuple[str, str | None]]:
    """Every place whose files are deleted."""
    deleted: list[tuple[str, str | None]] = []
    monkeypatch.setattr(
        retention, "delete_files", lambda place, path=None: deleted.append((place, path))
    )
    return deleted


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """Trainings a, b and c; the champion is a refresh of a, whose first version is old."""
    versions = [version(4, "a", "refresh"), version(3, "c"), version(2, "b"), version(1, "a")]
    client = Registry(versions, [run(name) for name in ("a", "b", "c", "refresh")])
    monkeypatch.setattr(retention, "versions", lambda client: client.versions)
    aliases, experiments = {client: {"champion": "4"}}, {client: "7"}
    monkeypatch.setattr(retention, "versions_by_alias", aliases.__getitem__)
    monkeypatch.setattr(retention, "experiment_id", experiments.__getitem__)
    return client


@pytest.fixture
def dropped_indexes(monkeypatch) -> list[str]:
    """Tags of the index versions that are dropped; there is one for each version, and `run-x`."""
    dropped: list[str] = []
    index = {"lancedb": {*(f"run-i{number}" for number in (1, 2, 3, 4)), "run-x"}}
    drop = {"lancedb": dropped.extend}
    monkeypatch.setattr(retention, "lancedb_uri", lambda: "lancedb")
    monkeypatch.setattr(retention, "version_tags", index.__getitem__)
    monkeypatch.setattr(retention, "drop_versions", lambda uri, names: drop[uri](names))
    return dropped


def test_the_two_newest_versions_and_the_first_of_a_training_are_kept():
    versions = [version(number, "a") for number in (6, 5, 4, 3)]
    keep, retire = split_by_retention(versions, [], trainings=1)
    assert (numbers(keep), numbers(retire)) == ([6, 5, 3], [4])


def test_a_training_is_as_old_as_its_first_version():
    """Version 4 is a refresh of the oldest training, so that the newest training is b."""
    versions = [version(4, "a"), version(3, "b"), version(2, "a")]
    keep, retire = split_by_retention(versions, [], trainings=1)
    assert (numbers(keep), numbers(retire)) == ([3], [4, 2])


def test_versions_are_ordered_by_number_and_not_by_text():
    versions = [version(10, "b"), version(9, "a")]
    assert numbers(split_by_retention(versions, [], trainings=1)[0]) == [10]


def test_runs_in_use_trained_or_registered_a_version():
    assert runs_in_use([version(2, "a", "refresh"), version(1, "b")]) == {"a", "refresh", "b"}


def test_a_training_whose_refreshed_version_stays_keeps_its_models(
    registry, deleted_files, dropped_indexes
):
    """Of the retired versions 1 and 2, the first has the models of the champion, a refresh."""
    assert retire_versions(registry, trainings=1) == ["2", "1"]
    assert numbers(registry.versions) == [4, 3]
    assert deleted_files == [
        ("models/m-2", None),
        ("models/m-1", None),
        *(("files/b", name) for name in LARGE_ARTIFACTS),
    ]


@pytest.mark.parametrize("alias", ["champion", "previous"])
def test_the_best_version_that_the_gate_compares_with_is_kept(
    registry, deleted_files, dropped_indexes, monkeypatch, alias
):
    aliases = {"champion": "4", "previous": "3"}
    monkeypatch.setattr(retention, "versions_by_alias", lambda _: aliases)
    for item in registry.versions:
        if item.version == aliases[alias]:
            item.tags["best"] = '{"f1_micro": "2", "keyword_ndcg_at_10": "4"}'
    assert retire_versions(registry, trainings=1) == ["1"]
    assert numbers(registry.versions) == [4, 3, 2]


def test_a_version_that_stays_keeps_its_model_and_index(registry, deleted_files, dropped_indexes):
    for name in ("i1", "i2", "i3", "i4", "x"):
        registry.runs[name] = run(name)
    retire_versions(registry, trainings=1)
    assert registry.models == {"m-4", "m-3"}
    assert dropped_indexes == ["run-i1", "run-i2", "run-x"]


def test_the_index_of_a_running_run_is_not_dropped(registry, dropped_indexes):
    """MLflow has no run `i1` any more, and cannot say that it has ended."""
    registry.runs |= {"x": run("x", "RUNNING"), "i2": run("i2", "FAILED")}
    drop_unused_indexes(registry, [version(1, "a"), version(2, "b")])
    assert dropped_indexes == ["run-i2"]


@pytest.mark.parametrize("tag", ["run-abc", "run-abc-carried"])
def test_an_index_is_named_after_its_run(tag):
    assert index_run_id(tag) == "abc"


@pytest.mark.parametrize(
    ("status", "ended"),
    [("RUNNING", False), ("SCHEDULED", False)]
    + [(status, True) for status in ("FINISHED", "FAILED", "KILLED")],
)
def test_a_run_has_ended_if_its_status_says_so(status, ended):
    assert has_ended(Registry([], [run("x", status)]), "run-x") is ended


def test_a_fault_of_the_registry_is_no_deleted_run(registry, monkeypatch):
    def fail(_: str) -> None:
        raise missing(INTERNAL_ERROR)

    monkeypatch.setattr(registry, "get_run", fail)
    monkeypatch.setattr(registry, "get_logged_model", fail)
    for action in (has_ended, delete_large_artifacts, delete_model):
        with pytest.raises(MlflowException, match="gone"):
            action(registry, "run-x")


def test_models_of_deleted_runs_are_ignored(registry, deleted_files):
    delete_large_artifacts(registry, "deleted")
    delete_model(registry, "deleted")
    assert deleted_files == []


def test_a_run_without_its_files_is_marked(registry, deleted_files):
    delete_large_artifacts(registry, "a")
    assert deleted_files == [("files/a", name) for name in LARGE_ARTIFACTS]
    assert registry.get_run("a").data.tags == {FILES_DELETED: "true"}


def test_the_large_artifacts_are_the_models_and_the_embeddings():
    assert set(LARGE_ARTIFACTS) == {"doc2vec", "classifier", "lexicon", "movie_embeddings.parquet"}


def test_failed_runs_are_failed_or_killed_and_have_files_that_no_version_uses(registry):
    failed = [run("failed", "FAILED"), run("killed", "KILLED"), run("running", "RUNNING")]
    cleaned, used = run("cleaned", "FAILED", files_deleted="true"), run("a", "FAILED")
    registry.runs |= {item.info.run_id: item for item in (*failed, cleaned, used)}
    runs = failed_runs(registry, "7", days=2)
    assert [item.info.run_id for item in runs] == ["failed", "killed"]


def test_failed_runs_ended_before_the_limit(registry):
    """MLflow's times are milliseconds."""
    failed_runs(registry, "7", days=2)
    for query in registry.queries:
        end, _ = query.removeprefix("attributes.end_time < ").split(" AND ")
        assert int(end) == pytest.approx((time.time() - 2 * DAY) * 1000, abs=60_000)


def test_models_of_failed_runs_are_deleted(registry, deleted_files):
    registry.runs["failed"] = run("failed", "FAILED")
    registry.models.add("m-failed")
    assert delete_failed_models(registry, days=2) == 1
    assert "m-failed" not in registry.models
    assert deleted_files == [
        ("models/m-failed", None),
        *(("files/failed", name) for name in LARGE_ARTIFACTS),
    ]
    assert delete_failed_models(registry, days=2) == 0


@pytest.mark.parametrize("path", [None, "doc2vec"])
def test_files_are_deleted_in_the_storage_of_their_location(path, monkeypatch):
    deleted = []
    repository = SimpleNamespace(delete_artifacts=deleted.append)
    monkeypatch.setattr(retention, "get_artifact_repository", {"s3://b/1": repository}.__getitem__)
    delete_files("s3://b/1", path)
    assert deleted == [path]


def test_only_old_log_files_are_deleted(tmp_path):
    for name, days in (("old.log", 31), ("old.log.1", 31), ("new.log", 29), ("old.txt", 31)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - days * DAY,) * 2)
    assert delete_old_logs(tmp_path, days=30) == 2
    assert {file.name for file in tmp_path.iterdir()} == {"new.log", "old.txt"}


def test_the_cache_is_pruned_to_gigabytes_and_keeps_what_a_running_run_may_use(monkeypatch):
    """A run may use entries from six hours before the oldest writer's start."""
    calls = []
    monkeypatch.setattr(store, "oldest_writer_start", lambda: 100_000.0)
    monkeypatch.setattr(store, "prune", lambda *arguments: calls.append(arguments) or 5)
    steps = retention._steps(RetentionConfig(cache_gb=1.5))
    assert steps["bytes of cache freed"]() == 5
    assert calls == [(1_500_000_000, 100_000.0 - 6 * 3600)]


def test_each_step_gets_its_setting(monkeypatch, artifacts):
    calls = []

    def recorder(name: str, result: object):
        return lambda target, setting: calls.append((name, target, setting)) or result

    monkeypatch.setattr(retention, "connect", lambda: "client")
    monkeypatch.setattr(retention, "retire_versions", recorder("versions", ["2", "1"]))
    monkeypatch.setattr(retention, "delete_failed_models", recorder("failed", 3))
    monkeypatch.setattr(retention, "delete_old_logs", recorder("logs", 4))
    steps = retention._steps(RetentionConfig(trainings=11, failed_days=12, log_days=13))
    results = [step() for name, step in steps.items() if name != "bytes of cache freed"]
    assert results == ["2, 1", 3, 4]
    assert list(steps) == [
        "versions retired",
        "failed runs whose models were deleted",
        "old log files deleted",
        "bytes of cache freed",
    ]
    assert calls == [
        ("versions", "client", 11),
        ("failed", "client", 12),
        ("logs", artifacts / "logs", 13),
    ]


def test_a_failed_step_is_logged_and_the_others_are_done(monkeypatch, caplog):
    def fail() -> None:
        raise OSError("disk")

    steps = {"bytes": fail, "logs": lambda: 3, "versions": lambda: ""}
    monkeypatch.setattr(retention, "_steps", lambda _: steps)
    monkeypatch.setattr(retention, "get_run_logger", lambda: logging.getLogger("clean-up"))
    with caplog.at_level(logging.INFO):
        clean_up(RetentionConfig())
    assert messages(caplog) == ["Clean-up failed (bytes): disk", "Clean-up, logs: 3"]


def test_versions_are_retired_under_the_lock_of_the_champion(registry, monkeypatch):
    """A promotion meanwhile could choose a version that is being retired."""
    states = []

    @contextmanager
    def lock():
        states.append(numbers(registry.versions))
        yield
        states.append(numbers(registry.versions))

    for name in ("delete_model", "delete_large_artifacts", "drop_unused_indexes"):
        monkeypatch.setattr(retention, name, lambda *_: None)
    monkeypatch.setattr(retention, "champion_lock", lock)
    retire_versions(registry, trainings=1)
    assert states == [[4, 3, 2, 1], [4, 3]]
