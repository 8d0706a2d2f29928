"""An ingested source -> MLflow: dataset with schema, row counts, quarantined rows and profile."""

import json

import pyarrow as pa
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from tasks.core.contracts import MOVIES, IngestRef, ProfileRef, RefreshRef, RunRef
from tasks.core.retry import io_task
from tasks.core.storage import store
from tasks.data.splits import MovieSplits
from tasks.registry.champion_check import SOURCE_FOLDER
from tasks.registry.tracking.length_limits import DATASET_NAME_LENGTH, shorten
from tasks.registry.tracking.metrics import log_metrics
from tasks.registry.tracking.mlflow_client import connect

MLFLOW_TYPES = {
    pa.string(): DataType.string,
    pa.int16(): DataType.integer,
    pa.int64(): DataType.long,
}


def dataset_schema(columns: pa.Schema) -> Schema:
    """An Arrow schema of strings, integers and lists of these, in MLflow's types.

    Raises:
        KeyError: a column has another type.
    """
    return Schema([_column_spec(column) for column in columns])


def _column_spec(column: pa.Field) -> ColSpec:
    required = not column.nullable
    if pa.types.is_list(column.type):
        items = Array(MLFLOW_TYPES[column.type.value_type])
        return ColSpec(items, column.name, required=required)
    return ColSpec(MLFLOW_TYPES[column.type], column.name, required=required)


def source_dataset(ingested: IngestRef) -> Dataset:
    """The source as an MLflow dataset: name, digest, row counts, and the schema of its rows as
    ingested (`MOVIES`), whatever the columns of the file are called."""
    schema = dataset_schema(MOVIES).to_dict()
    return Dataset(
        name=shorten(ingested.source, DATASET_NAME_LENGTH),
        digest=ingested.digest[:32],
        source_type="local",
        source=json.dumps({"file": ingested.source, "sha256": ingested.digest}),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps({"rows": ingested.rows, "kept": ingested.kept}),
    )


def row_count_metrics(ingested: IngestRef) -> dict[str, float]:
    """Numbers of rows by outcome, as metrics `source_…`."""
    counts = {
        "rows": ingested.rows,
        "kept": ingested.kept,
        "quarantined": ingested.quarantine.rows,
        "unlabelled": ingested.unlabelled,
        "unreadable_keywords": ingested.unreadable_keywords,
        "unreadable_credits": ingested.unreadable_credits,
    }
    counts |= {f"quarantined_{reason}": count for reason, count in ingested.reasons.items()}
    return {f"source_{name}": float(count) for name, count in counts.items()}


def split_metrics(splits: MovieSplits) -> dict[str, float]:
    """Numbers of movies by split, and of those whose film is told more than once."""
    counts = {f"split_{name}": count for name, count in splits.counts.items()}
    counts |= {"split_retold": splits.retold, "split_moved": splits.moved}
    return {name: float(count) for name, count in counts.items()}


@io_task("track-source")
def track_source(run: RunRef, ingested: IngestRef) -> None:
    """Log the source as a dataset, its files, its row counts and its quarantined rows."""
    client = connect()
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run.run_id, [DatasetInput(source_dataset(ingested), tags)])
    log_metrics(client, run, row_count_metrics(ingested))
    client.log_text(run.run_id, "\n".join(ingested.files), "source/files.txt")
    client.log_artifact(run.run_id, str(store.locate(ingested.quarantine)), SOURCE_FOLDER)


@io_task("track-splits")
def track_splits(run: RunRef, splits: MovieSplits) -> None:
    """Log the numbers of movies by split, and the keys of the films that models are fitted on.

    Later runs compare their models with these on other films.
    """
    client = connect()
    log_metrics(client, run, split_metrics(splits))
    client.log_artifact(run.run_id, str(store.locate(splits.fitted_keys)), SOURCE_FOLDER)


@io_task("track-profile")
def track_profile(run: RunRef, profile: ProfileRef) -> None:
    """Log the source's profile; the drift check of later runs compares theirs with it."""
    connect().log_artifact(run.run_id, str(store.locate(profile)), SOURCE_FOLDER)


@io_task("track-refresh")
def track_refresh(run: RunRef, refreshed: RefreshRef, trained_by: str) -> None:
    """Log the numbers of added and updated movies, and the run that trained the models."""
    client = connect()
    client.set_tag(run.run_id, "trained", trained_by)
    counts = {
        "refresh_added": refreshed.added,
        "refresh_updated": refreshed.updated,
        "refresh_rows": refreshed.index.rows,
    }
    log_metrics(client, run, {name: float(count) for name, count in counts.items()})
