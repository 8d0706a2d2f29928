"""Numbers -> MLflow metrics in groups: final values, or one value per epoch."""

import time
from collections.abc import Mapping

import mlflow
import pyarrow as pa
from mlflow.entities import Metric

from tasks.core.contracts import RunRef
from tasks.registry.tracking.metric_groups import grouped_name

BATCH = 1000  # metrics per request, MLflow's limit


def log_metrics(
    client: mlflow.MlflowClient, run: RunRef, values: Mapping[str, float], step: int = 0
) -> None:
    """Log final values by name."""
    timestamp = _milliseconds()
    metrics = [Metric(grouped_name(name), value, timestamp, step) for name, value in values.items()]
    client.log_batch(run.run_id, metrics=metrics)


def log_epochs(
    client: mlflow.MlflowClient, run: RunRef, history: pa.Table, names: Mapping[str, str]
) -> None:
    """Log columns of a training history as metrics, with the epoch as the step.

    `names` maps column to metric name.
    """
    timestamp = _milliseconds()
    metrics = [
        Metric(grouped_name(name), row[column], timestamp, row["epoch"])
        for row in history.to_pylist()
        for column, name in names.items()
    ]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run.run_id, metrics=metrics[first : first + BATCH])


def _milliseconds() -> int:
    """The current Unix time in milliseconds, the unit of MLflow's timestamps."""
    return int(time.time() * 1000)
