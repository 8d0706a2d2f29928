import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.champion import (
    CHAMPION,
    MODEL,
    Champion,
    champion,
    fetched,
    from_tags,
    rival,
    to_tags,
    tracking_uri,
)
from tasks.contracts import IndexRef, UserError
from tasks.rank import RankConfig
from tasks.track import connect, experiment_id

READER = Champion(
    index=IndexRef(uri="u", tag="run-1"),
    rank=RankConfig(votes=0.5),
    run_id="1",
    source="digest",
    fingerprint="mark",
    digests=(("doc2vec", "abc"),),
)


def register(tags: dict[str, str]) -> None:
    client = connect()
    client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, "file:///nowhere", tags=tags)
    client.set_registered_model_alias(MODEL, CHAMPION, made.version)


def test_before_the_first_training(artifacts):
    assert rival() is None
    with pytest.raises(UserError, match="Nothing has been trained yet"):
        champion()


def test_a_champion_of_an_earlier_version_is_no_rival_and_cannot_answer(artifacts):
    register({"index_uri": "u", "index_tag": "run-1"})
    assert rival() is None
    with pytest.raises(UserError, match="trained by an earlier version"):
        champion()


def test_tags_say_everything(artifacts):
    assert from_tags(to_tags(READER)) == READER
    register(to_tags(READER))
    assert champion() == rival() == READER


def test_a_local_file_is_read_where_it_lies_and_a_remote_one_is_copied_once(
    artifacts, tmp_path, monkeypatch
):
    client = connect()
    run_id = client.create_run(experiment_id(client)).info.run_id
    client.log_text(run_id, "words", "doc2vec/words.txt")
    local = fetched(run_id, "doc2vec")
    assert local.is_relative_to(artifacts / "mlruns")

    remote = SimpleNamespace(info=SimpleNamespace(artifact_uri="mlflow-artifacts:/1"))
    monkeypatch.setattr("mlflow.MlflowClient.get_run", lambda *_: remote)
    asked = []

    def download(run_id: str, artifact_path: str, dst_path: str) -> None:
        asked.append(artifact_path)
        shutil.copytree(local, Path(dst_path) / artifact_path)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    for _ in range(2):
        copy = fetched(run_id, "doc2vec")
        assert copy.is_relative_to(artifacts / "cache")
        assert (copy / "words.txt").read_text() == "words"
    assert asked == ["doc2vec"]


def test_the_login_of_a_tracking_server_goes_to_mlflow_s_own_variables(monkeypatch):
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
