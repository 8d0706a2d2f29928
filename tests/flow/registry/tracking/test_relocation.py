import shutil
import sqlite3
from pathlib import Path

import pytest

from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.core.storage.run_locks import hold_run_lock, release_run_lock
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.relocation import replace_addresses, replace_index_paths
from tests.support.run_processes import process_with_run


def use_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the artifacts root as a new process would see it: MLflow sets the URI itself."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(params=["moved", "with ä, %41 and #"])
def place(request, tmp_path) -> Path:
    """Where a root is brought."""
    return tmp_path / request.param


def run_with_a_file() -> str:
    """A run of the current root that logged a file."""
    client = connect()
    run_id = client.create_run(experiment_id(client)).info.run_id
    client.log_text(run_id, "scores", "report.html")
    return str(run_id)


def files_of(root: Path, run_id: str) -> list[str]:
    folder = root / "mlruns" / run_id / "artifacts"
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("bring", [shutil.move, shutil.copytree])
def test_runs_of_a_root_that_was_moved_or_copied_are_read_and_written_there(
    artifacts, place, monkeypatch, bring
):
    before = run_with_a_file()
    bring(artifacts, place)
    use_root(place, monkeypatch)
    after = run_with_a_file()
    for run_id in (before, after):
        assert connect().get_run(run_id).info.artifact_uri.startswith(f"{place.as_uri()}/mlruns/")
        assert files_of(place, run_id) == ["report.html"]
    assert not (artifacts / "mlruns" / after).exists()


def test_a_link_at_the_earlier_place_is_the_same_root(artifacts, place, monkeypatch):
    location = connect().get_run(run_with_a_file()).info.artifact_uri
    artifacts.rename(place)
    artifacts.symlink_to(place)
    use_root(place, monkeypatch)
    client = connect()
    (run,) = client.search_runs([experiment_id(client)])
    assert run.info.artifact_uri == location


def test_a_root_is_not_moved_under_a_run_of_another_process(artifacts, place, monkeypatch):
    run_with_a_file()
    with process_with_run("other"):
        artifacts.rename(place)
        use_root(place, monkeypatch)
        hold_run_lock("own")
        with pytest.raises(UserError, match="the flow run other still writes there: wait"):
            connect()
    connect()
    release_run_lock("own")


def test_addresses_of_other_places_stay(artifacts, tmp_path):
    """`/a/team-2` begins like `/a/team`, but is another folder."""
    database = tmp_path / "mlflow.db"
    places = ["file:///a/team/mlruns", "file:///a/team-2/mlruns", "s3://a/team/mlruns"]
    with sqlite3.connect(database) as connection:
        for table, column in (
            *(("experiments", "artifact_location"), ("runs", "artifact_uri")),
            *(("logged_models", "artifact_location"), ("model_versions", "storage_location")),
        ):
            connection.execute(f"CREATE TABLE {table} ({column} TEXT)")
            rows = [(place,) for place in places]
            connection.executemany(f"INSERT INTO {table} VALUES (?)", rows)  # noqa: S608
    replace_addresses(database, "file:///a/team", "file:///b")
    with sqlite3.connect(database) as connection:
        for query in (
            *("SELECT artifact_location FROM experiments", "SELECT artifact_uri FROM runs"),
            "SELECT artifact_location FROM logged_models",
            "SELECT storage_location FROM model_versions",
        ):
            stored = [place for (place,) in connection.execute(query)]
            assert stored == ["file:///b/mlruns", *places[1:]]


def test_a_model_of_a_copy_is_served_with_the_index_of_the_copy(tmp_path):
    """The index of another root, on an object store for example, stays where it is."""
    files = [tmp_path / name / "artifacts" / "artifacts" / "reader.json" for name in ("m-1", "m-2")]
    for file, uri in zip(files, ("/a/team/lancedb", "s3://a/team/lancedb"), strict=True):
        file.parent.mkdir(parents=True)
        store.write_json(file, {"index": {"uri": uri, "tag": "run-1"}, "run_id": "1"})
    replace_index_paths(tmp_path, Path("/a/team"), Path("/b"))
    readers = [store.read_json(file) for file in files]
    assert readers[0] == {"index": {"uri": "/b/lancedb", "tag": "run-1"}, "run_id": "1"}
    assert readers[1]["index"]["uri"] == "s3://a/team/lancedb"
