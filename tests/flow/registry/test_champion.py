import json
import os
import sqlite3
import subprocess
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import mlflow
import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from tasks.core.contracts import DamagedVersionError, IndexRef, RegistryError, UserError
from tasks.core.storage import store
from tasks.recommend.index import lancedb_uri
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import (
    FORMAT,
    Champion,
    fetch_artifact,
    from_tags,
    load_champion,
    model_folders,
    require_champion_of_this_root,
    to_tags,
)
from tasks.registry.champion_check import load_checked_champion
from tasks.registry.gate import decision_without_champion
from tasks.registry.model_registry import (
    CHAMPION,
    MODEL,
    champion_version,
    pack_tags,
    require_intact_database,
    tracking_uri,
)
from tasks.registry.release import find_version, promote, require_usable, roll_back
from tasks.registry.tracking.mlflow_client import connect, experiment_id, open_client
from tasks.registry.tracking.runs import open_run
from tests.conftest import ROOT, free_port
from tests.support.http_server import served

READER = Champion(
    index=IndexRef(uri="s3://bucket/lancedb", tag="run-1"),
    rank=RankConfig(votes=0.5),
    run_id="1",
    source="digest",
    fingerprint="fingerprint",
    digests=(("doc2vec", "abc"),),
)


def register(tags: dict[str, str], pack: bool = True) -> None:
    client = connect()
    client.create_registered_model(MODEL)
    stored = pack_tags(tags) if pack else tags
    version = client.create_model_version(MODEL, "file:///nowhere", tags=stored)
    client.set_registered_model_alias(MODEL, CHAMPION, version.version)


def test_without_a_training_there_is_no_champion(artifacts):
    assert champion_version() is None
    assert load_checked_champion().version == ""
    with pytest.raises(UserError, match="Nothing has been trained yet"):
        load_champion()


@pytest.mark.parametrize("uri", [None, "sqlite:///other.db"])
def test_a_root_that_is_a_file_is_an_error(uri, artifacts, monkeypatch):
    artifacts.touch()
    if uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for read in (load_champion, connect):
        with pytest.raises(UserError, match="is a file, not a folder"):
            read()


def test_a_champion_of_an_early_release_is_not_usable(artifacts):
    register({"index_uri": "u", "index_tag": "run-1"}, pack=False)
    checked = load_checked_champion()
    assert (checked.version, checked.champion) == ("1", None)
    assert "earlier release" in checked.damage
    with pytest.raises(UserError, match="trained by an earlier release"):
        load_champion()


@pytest.mark.parametrize("stored_format", ["1", None])
def test_a_champion_of_another_format_is_refused_and_no_obstacle(artifacts, stored_format):
    """Its index lacks columns that this release reads; a training replaces it."""
    tags = to_tags(READER)
    assert tags.pop("format") == FORMAT
    register(tags | ({"format": stored_format} if stored_format else {}))
    with pytest.raises(UserError, match="earlier release: run `make train` again"):
        load_champion()
    checked = load_checked_champion()
    assert (checked.champion, checked.folders) == (None, None)
    decision = decision_without_champion(checked)
    assert (decision.promote, decision.champion_is_damaged) == (True, True)
    assert "an earlier release registered it" in decision.why


@pytest.mark.parametrize("pack", [True, False])
def test_tags_restore_the_champion(artifacts, pack):
    """Earlier releases did not pack them."""
    assert from_tags(to_tags(READER)) == READER
    register(to_tags(READER), pack)
    champion = load_champion()
    assert champion == READER.model_copy(update={"version": "1", "registered": champion.registered})


def test_an_index_of_a_shared_registry_is_stored_with_its_whole_path(artifacts, monkeypatch):
    """Readers of a shared registry may have another root."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    reader = READER.model_copy(update={"index": IndexRef(uri=lancedb_uri(), tag="run-1")})
    assert to_tags(reader)["index_uri"] == str(artifacts / "lancedb")


@pytest.fixture
def other_root(artifacts, tmp_path, monkeypatch):
    """Another root than that of the champion in the registry that both use."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    (artifacts / "lancedb" / "run-1.lance").mkdir(parents=True)
    store.create_root_id()
    index = IndexRef(uri=lancedb_uri(), tag="run-1")
    register(to_tags(READER.model_copy(update={"index": index})))
    require_champion_of_this_root()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(other))
    return other


def test_nothing_is_published_over_the_champion_of_another_root(other_root, artifacts):
    """It could not be compared: its models and index would look damaged, and be replaced."""
    for check in (require_champion_of_this_root, load_checked_champion):
        with pytest.raises(UserError, match="published from another artifacts root") as error:
            check()
    assert f"index in {artifacts / 'lancedb'}" in str(error.value)
    client = connect()
    with pytest.raises(UserError, match="published from another artifacts root"):
        require_usable(find_version(client, "1"))
    for change in (lambda: promote(client, "1"), lambda: roll_back(client)):
        with pytest.raises(UserError, match="published from another artifacts root"):
            change()
    store.create_root_id()
    with pytest.raises(UserError, match="published from another artifacts root"):
        open_run({}, {})
    assert client.search_runs([experiment_id(client)]) == []


def test_another_root_reads_the_champion_where_its_index_is(other_root, artifacts):
    assert load_champion().index.uri == str(artifacts / "lancedb")
    artifacts.rename(artifacts.with_name("unmounted"))
    with pytest.raises(UserError, match="set RECOMMENDER_ARTIFACTS to it"):
        load_champion()


def test_a_relative_index_path_starts_at_the_current_root(artifacts, tmp_path, monkeypatch):
    uri = lancedb_uri()
    tags = to_tags(READER.model_copy(update={"index": IndexRef(uri=uri, tag="run-1")}))
    assert tags["index_uri"] == "lancedb"
    assert from_tags(tags).index.uri == uri
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path / "moved"))
    assert from_tags(tags).index.uri == str(tmp_path / "moved" / "lancedb")
    assert from_tags(tags | {"index_uri": uri}).index.uri == str(tmp_path / "moved" / "lancedb")


@pytest.mark.parametrize("query", ["", "?timeout=30"])
def test_a_configured_database_is_read_by_a_url_parser(artifacts, tmp_path, monkeypatch, query):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db{query}")
    assert champion_version() is None
    register(to_tags(READER))
    assert champion_version().version == "1"


@pytest.mark.parametrize("content", [b"", b"no tables"])
def test_an_empty_database_has_no_champion(artifacts, content):
    artifacts.mkdir()
    file = artifacts / "mlflow.db"
    file.write_bytes(b"")
    if content:
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE other (id INTEGER)")
    with pytest.raises(UserError, match="Nothing has been trained yet"):
        load_champion()


def test_a_damaged_database_is_an_error(artifacts):
    """The advice of the message works: after the file is moved away, a new one is created."""
    register(to_tags(READER))
    file = artifacts / "mlflow.db"
    open_client.cache_clear()
    for name in ("mlflow.db-wal", "mlflow.db-shm"):
        (artifacts / name).unlink(missing_ok=True)
    content = bytearray(file.read_bytes())
    content[100 : len(content) // 2] = b"x" * (len(content) // 2 - 100)
    file.write_bytes(content)
    for read in (load_champion, champion_version, require_intact_database):
        with pytest.raises(RegistryError, match=r"mlflow.db is damaged .*move it away \(mv"):
            read()
    with pytest.raises(RegistryError, match="is damaged"):
        connect()
    file.rename(artifacts / "mlflow.db.damaged")
    require_intact_database()
    reconnect = (
        "from tasks.registry.tracking.mlflow_client import connect; "
        "print(connect().search_registered_models())"
    )
    completed = subprocess.run(
        [sys.executable, "-c", reconnect], cwd=ROOT, capture_output=True, text=True
    )
    assert completed.stdout == "[]\n", completed.stderr
    assert champion_version() is None


@pytest.mark.parametrize(
    "address",
    [
        "http://team:s3cr3t@127.0.0.1:{port}/?key=s3cr3t",
        "postgresql://u:s3cr3t@127.0.0.1:{port}/db",
    ],
)
def test_an_unreachable_registry_is_one_sentence_without_its_password(
    artifacts, monkeypatch, address
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(port=free_port()))
    for read in (
        load_champion,
        connect,
        require_intact_database,
        partial(fetch_artifact, "1", "doc2vec"),
    ):
        with pytest.raises(
            RegistryError, match=r"MLflow does not answer at \w+://[*@]*127"
        ) as raised:
            read()
        assert "s3cr3t" not in str(raised.value)


def test_a_registry_that_answers_with_an_error_is_an_error(artifacts, monkeypatch):
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(json.dumps({"error_code": "PERMISSION_DENIED"}).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with served(HTTPServer(("127.0.0.1", 0), Broken)) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(RegistryError, match=r"answered with an error: .*PERMISSION_DENIED"):
            champion_version()


def test_missing_models_are_named(artifacts):
    client = connect()
    run_id = client.create_run(experiment_id(client)).info.run_id
    with pytest.raises(DamagedVersionError, match="its doc2vec is missing"):
        model_folders(READER.model_copy(update={"run_id": run_id}))
    with pytest.raises(DamagedVersionError, match="MLflow has no run"):
        model_folders(READER.model_copy(update={"run_id": "0" * 32}))


@pytest.mark.parametrize("name", ["doc2vec", "source/profile.json"])
def test_a_local_file_is_read_in_place_and_a_remote_one_is_downloaded_once(
    artifacts, monkeypatch, name
):
    client = connect()
    run = client.create_run(experiment_id(client))
    for path in ("doc2vec/words.txt", "source/profile.json"):
        client.log_text(run.info.run_id, "words", path)
    local = fetch_artifact(run.info.run_id, name)
    assert local.is_relative_to(artifacts / "mlruns")

    registry = "mlflow.store.artifact.artifact_repository_registry"
    monkeypatch.setattr("tasks.registry.champion._artifact_uri", lambda *_: "mlflow-artifacts:/1")
    repository = LocalArtifactRepository(run.info.artifact_uri)
    monkeypatch.setattr(f"{registry}.get_artifact_repository", lambda *_, **__: repository)
    copies = {fetch_artifact(run.info.run_id, name) for _ in range(2)}
    (copy,) = copies
    assert copy.is_relative_to(artifacts / "cache")
    text = (copy if copy.is_file() else copy / "words.txt").read_text()
    assert text == "words"
    with pytest.raises(DamagedVersionError, match=r"no longer has source/gone\.json"):
        fetch_artifact(run.info.run_id, "source/gone.json")


def test_files_of_one_registry_are_not_sought_in_another(tmp_path, monkeypatch):
    databases = [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    runs = []
    for database in databases:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
        client = connect()
        runs.append(client.create_run(experiment_id(client)).info.run_id)
    for database, run in [*zip(databases, runs, strict=True)] * 2:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
        fetch_artifact(run, "doc2vec")
        assert mlflow.get_tracking_uri() == database
        with pytest.raises(DamagedVersionError, match="MLflow has no run"):
            fetch_artifact(next(other for other in runs if other != run), "doc2vec")


def test_the_login_of_a_tracking_server_moves_to_mlflow_variables(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://team:s3%40cr3t@mlflow:5000/x")
    assert tracking_uri() == "https://mlflow:5000/x"
    login = [os.environ[f"MLFLOW_TRACKING_{name}"] for name in ("USERNAME", "PASSWORD")]
    assert login == ["team", "s3@cr3t"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://mlflow:s3cr3t@db/mlflow"])
def test_any_other_tracking_uri_is_used_as_it_is(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri() == uri
