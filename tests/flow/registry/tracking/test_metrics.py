import pyarrow as pa

from tasks.core.contracts import RunRef
from tasks.registry.model_registry import tracking_uri
from tasks.registry.tracking.metrics import log_epochs
from tasks.registry.tracking.mlflow_client import connect, experiment_id


def test_histories_of_an_ensemble_are_logged_per_epoch_and_network(artifacts):
    client = connect()
    experiment = experiment_id(client)
    run_id = client.create_run(experiment).info.run_id
    run = RunRef(run_id=run_id, experiment_id=experiment, tracking_uri=tracking_uri())
    history = pa.table(
        {"member": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "val_loss": [1.0, 0.5, 2.0, 1.5]}
    )
    log_epochs(client, run, history, {"val_loss": "blog_val_loss"})
    logged = {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]
        for name in ("blog_val_loss", "network_2/blog_val_loss")
    }
    assert logged == {
        "blog_val_loss": [(1, 1.0), (2, 0.5)],
        "network_2/blog_val_loss": [(1, 2.0), (2, 1.5)],
    }
