"""The ingested source -> MLflow: dataset, row counts, quarantined rows and profile."""

import json
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag

from tasks.core.contracts import IngestRef, ProfileRef, RefreshRef, RunRef
from tasks.core.retry import io_task
from tasks.core.storage import store
from tasks.registry.champion_check import PROFILE
from tasks.registry.tracking.length_limits import DATASET_NAME_LENGTH, shorten
from tasks.registry.tracking.metrics import log_metrics
from tasks.registry.tracking.mlflow_client import connect


@io_task("track-source")
def track_source(run: RunRef, ingested: IngestRef) -> None:
    """Log the source's digest as a dataset, and how many rows went where and why."""
    client = connect()
    dataset = Dataset(
        name=shorten(ingested.source, DATASET_NAME_LENGTH),
        digest=ingested.digest[:32],
        source_type="local",
        source=json.dumps({"file": ingested.source, "sha256": ingested.digest}),
        profile=json.dumps({"rows": ingested.rows, "kept": ingested.kept}),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run.run_id, [DatasetInput(dataset, tags)])
    counts = {"kept": ingested.kept, "quarantined": ingested.quarantine.rows}
    reasons = {f"quarantined_{reason}": count for reason, count in ingested.reasons.items()}
    counts |= {"rows": ingested.rows, "unlabelled": ingested.unlabelled}
    counts["unreadable_keywords"] = ingested.unreadable_keywords
    found = counts | reasons
    log_metrics(client, run, {f"source_{name}": float(value) for name, value in found.items()})
    path = store.locate(ingested.quarantine)
    client.log_artifact(run.run_id, str(path), "source")


@io_task("track-profile")
def track_profile(run: RunRef, profile: ProfileRef) -> None:
    """Log what the source looks like, which later runs compare theirs with."""
    connect().log_artifact(run.run_id, str(store.locate(profile)), Path(PROFILE).parent.as_posix())


@io_task("track-refresh")
def track_refresh(run: RunRef, found: RefreshRef, trained_by: str) -> None:
    """Log how many movies were new and how many known, and whose models they were described by."""
    connect().set_tag(run.run_id, "trained", trained_by)
    counts = {"added": found.added, "updated": found.updated, "rows": found.index.rows}
    metrics = {f"refresh_{name}": float(count) for name, count in counts.items()}
    log_metrics(connect(), run, metrics)
