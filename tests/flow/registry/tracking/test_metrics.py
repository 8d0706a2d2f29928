import pyarrow as pa

from tasks.core.contracts import RunRef
from tasks.registry.model_registry import tracking_uri
from tasks.registry.tracking.metrics import log_epochs
from tasks.registry.tracking.mlflow_client import connect, experiment_id


def test_the_epochs_of_a_history_are_logged_as_steps(artifacts):
    client = connect()
    experiment = experiment_id(client)
    run_id = client.create_run(experiment).info.run_id
    run = RunRef(run_id=run_id, experiment_id=experiment, tracking_uri=tracking_uri())
    history = pa.table({"epoch": [1, 2], "val_loss": [1.0, 0.5], "train_loss": [1.2, 0.4]})
    log_epochs(client, run, history, {"val_loss": "blog_val_loss"})
    assert set(client.get_run(run_id).data.metrics) == {"leaky/blog_val_loss"}
    logged = client.get_metric_history(run_id, "leaky/blog_val_loss")
    assert [(metric.step, metric.value) for metric in logged] == [(1, 1.0), (2, 0.5)]
