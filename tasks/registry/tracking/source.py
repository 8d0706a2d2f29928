"""An ingested source -> MLflow: dataset with schema, row counts, quarantined rows and profile."""

import json

import pyarrow as pa
import pyarrow.compute as pc
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from tasks.core.contracts import MOVIES, IngestRef, Ref, RefreshRef, RunRef
from tasks.core.orchestration.retry import io_task
from tasks.core.storage import store
from tasks.data.drift import profile_source
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
    """The source as an MLflow dataset: name, digest, numbers of rows, years of the movies, and the
    schema of its rows as ingested (`MOVIES`), whatever the columns of the file are called."""
    schema = dataset_schema(MOVIES).to_dict()
    return Dataset(
        name=shorten(ingested.source, DATASET_NAME_LENGTH),
        digest=ingested.digest[:32],
        source_type="local",
        source=json.dumps({"file": ingested.source, "sha256": ingested.digest}),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps(dataset_profile(ingested)),
    )


def dataset_profile(ingested: IngestRef) -> dict[str, int]:
    """Numbers of rows, and the years of the oldest and of the newest movie where any is known."""
    counts = {"num_rows": ingested.rows, "kept": ingested.kept}
    counts |= {"quarantined": ingested.quarantine.rows, "without_genres": ingested.unlabelled}
    bounds = [pc.min_max(store.read(chunk, ["year"])["year"]).as_py() for chunk in ingested.chunks]
    known = [year for bound in bounds for year in bound.values() if year is not None]
    return counts | ({"first_year": min(known), "last_year": max(known)} if known else {})


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
def track_source(run: RunRef, ingested: IngestRef, splits: MovieSplits | None = None) -> None:
    """Log the source as a dataset, its files, its row counts and its quarantined rows.

    Without `splits` the run is a refresh. With them, also what later runs need to compare theirs
    with it: its profile, and the keys of the films that models are fitted on.
    """
    client = connect()
    tags = [InputTag("mlflow.data.context", "training" if splits else "refresh")]
    client.log_inputs(run.run_id, [DatasetInput(source_dataset(ingested), tags)])
    log_metrics(client, run, row_count_metrics(ingested))
    client.log_text(run.run_id, "\n".join(ingested.files), "source/files.txt")
    files: list[Ref] = [ingested.quarantine]
    if splits:
        log_metrics(client, run, split_metrics(splits))
        files += [splits.fitted_keys, profile_source(ingested.chunks)]
    for file in files:
        client.log_artifact(run.run_id, str(store.locate(file)), SOURCE_FOLDER)


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
