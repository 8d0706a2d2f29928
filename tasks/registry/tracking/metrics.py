"""Metrics -> MLflow, as single values or one value per epoch."""

import time
from collections.abc import Mapping

import mlflow
import pyarrow as pa
from mlflow.entities import Metric

from tasks.core.contracts import RunRef

BATCH = 1000  # metrics that MLflow takes at once


def log_metrics(
    client: mlflow.MlflowClient, run: RunRef, values: Mapping[str, float], step: int = 0
) -> None:
    """Log final values under their names."""
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value in values.items()]
    client.log_batch(run.run_id, metrics=metrics)


def log_steps(
    client: mlflow.MlflowClient, run: RunRef, history: pa.Table, names: Mapping[str, str]
) -> None:
    """Log passes as steps under `names`; those of a second network as `network_2/…`."""
    now, metrics = int(time.time() * 1000), list[Metric]()
    for row in history.to_pylist():
        prefix = f"network_{row['member'] + 1}/" if row.get("member") else ""
        metrics += [
            Metric(prefix + name, row[column], now, row["epoch"]) for column, name in names.items()
        ]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run.run_id, metrics=metrics[first : first + BATCH])
