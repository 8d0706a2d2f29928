from tasks.registry.model_registry import tracking_uri
from tasks.registry.tracking.mlflow_client import connect, experiment_id


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
