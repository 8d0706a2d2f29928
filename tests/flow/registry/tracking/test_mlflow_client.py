from pathlib import Path

import pytest

from tasks.core.contracts import UserError
from tasks.registry.model_registry import tracking_uri
from tasks.registry.tracking.mlflow_client import (
    connect,
    experiment_id,
    require_experiment_of_this_root,
)


def use_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the artifacts root as a new process would see it: MLflow sets the URI itself."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")


def test_the_configured_tracking_server_is_used(artifacts, monkeypatch):
    assert tracking_uri() == f"sqlite:///{artifacts}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri() == "http://127.0.0.1:5000"


def test_the_experiment_is_created_once_and_stores_files_under_the_root(artifacts):
    client = connect()
    experiment = experiment_id(client)
    assert experiment_id(client) == experiment
    location = client.get_experiment(experiment).artifact_location
    assert location == (artifacts / "mlruns").as_uri()


def test_a_moved_root_is_an_error_with_two_remedies_that_work(artifacts, tmp_path, monkeypatch):
    experiment = experiment_id(connect())
    moved = tmp_path / "moved"
    artifacts.rename(moved)
    use_root(moved, monkeypatch)
    with pytest.raises(UserError, match=rf"was moved from {artifacts}, .*ln -s {moved}"):
        require_experiment_of_this_root(connect(), experiment)
    artifacts.symlink_to(moved)
    require_experiment_of_this_root(connect(), experiment)


def test_a_copied_root_is_an_error(artifacts, tmp_path, monkeypatch):
    experiment = experiment_id(connect())
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "mlflow.db").write_bytes((artifacts / "mlflow.db").read_bytes())
    use_root(copy, monkeypatch)
    with pytest.raises(UserError, match=f"{copy} is a copy of {artifacts}"):
        require_experiment_of_this_root(connect(), experiment)
