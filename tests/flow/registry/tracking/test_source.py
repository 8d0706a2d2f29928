import json
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from mlflow.types import Schema

from tasks.core.contracts import MOVIES, IngestRef, MoviesRef, QuarantineRef, Ref, RunRef
from tasks.core.storage import store
from tasks.data.splits import FITTED_KEYS, MovieSplits
from tasks.registry.model_registry import tracking_uri
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.source import dataset_schema, track_source
from tests.support.stored import stored_folder, stored_table


def ingested(quarantine: QuarantineRef, *chunks: MoviesRef) -> IngestRef:
    return IngestRef(
        source="movies.csv",
        digest="ab" * 32,
        files=(f"a/a.csv {'1' * 64}", f"b/b.csv {'2' * 64}"),
        chunks=chunks,
        quarantine=quarantine,
        rows=5,
        kept=3,
        unlabelled=1,
        unreadable_keywords=0,
        unreadable_credits=0,
        reasons={"bad_id": 2},
    )


def test_the_schema_has_the_columns_and_types_of_ingested_movies():
    types = {column["name"]: column["type"] for column in dataset_schema(MOVIES).to_dict()}
    assert types == {
        "source": "string",
        "id": "string",
        "title": "string",
        "overview": "string",
        "genres": "array",
        "keywords": "array",
        "people": "array",
        "imdb_id": "string",
        "year": "integer",
        "language": "string",
        "collection": "string",
        "vote_count": "long",
        "row": "long",
    }


def test_a_column_of_an_unknown_type_is_an_error():
    with pytest.raises(KeyError):
        dataset_schema(pa.schema([("released", pa.date32())]))


def a_run() -> RunRef:
    client = connect()
    experiment = experiment_id(client)
    run_id = client.create_run(experiment).info.run_id
    return RunRef(run_id=run_id, experiment_id=experiment, tracking_uri=tracking_uri())


def a_quarantine() -> QuarantineRef:
    table = pa.table({"row": [7, 9]})
    return store.get_or_create(
        "quarantine",
        [1],
        QuarantineRef,
        lambda writer: writer.table_ref(QuarantineRef, "quarantine.parquet", table),
    )


def test_with_splits_a_run_has_what_later_runs_compare_their_source_with(artifacts):
    run, movies = a_run(), MOVIES.empty_table().select(["genres", "year", "overview"])
    chunk = stored_table(MoviesRef, movies)
    keys = stored_folder(Ref, lambda folder: np.save(folder / FITTED_KEYS, np.array([1])))
    fitted = keys.model_copy(update={"paths": (f"{keys.paths[0]}/{FITTED_KEYS}",)})
    splits = MovieSplits(
        chunks=(), fitted_keys=fitted, counts={"train": 2, "test": 1}, retold=1, moved=0
    )
    source = ingested(a_quarantine()).model_copy(update={"chunks": (chunk,)})
    track_source.fn(run, source, splits)
    files = {Path(file.path).name for file in connect().list_artifacts(run.run_id, "source")}
    assert files == {"files.txt", "quarantine.parquet", "profile.json", FITTED_KEYS}
    metrics = without_groups(mlflow.get_run(run.run_id).data.metrics)
    assert (metrics["split_train"], metrics["split_test"], metrics["split_retold"]) == (2, 1, 1)


def test_the_run_has_the_source_as_a_dataset_with_schema_and_row_counts(artifacts):
    run, years = a_run(), pa.table({"year": pa.array([1999, None, 1931], pa.int16())})
    track_source.fn(run, ingested(a_quarantine(), stored_table(MoviesRef, years)))

    files = connect().download_artifacts(run.run_id, "source/files.txt")
    assert Path(files).read_text().splitlines() == [f"a/a.csv {'1' * 64}", f"b/b.csv {'2' * 64}"]
    logged = mlflow.get_run(run.run_id)
    (dataset_input,) = logged.inputs.dataset_inputs
    schema = json.loads(dataset_input.dataset.schema)["mlflow_colspec"]
    assert Schema.from_json(json.dumps(schema)) == dataset_schema(MOVIES)
    assert (dataset_input.dataset.name, dataset_input.dataset.digest) == ("movies.csv", "ab" * 16)
    assert [tag.value for tag in dataset_input.tags] == ["refresh"]
    assert json.loads(dataset_input.dataset.profile) == {
        "num_rows": 5,
        "kept": 3,
        "quarantined": 2,
        "without_genres": 1,
        "first_year": 1931,
        "last_year": 1999,
    }
    assert without_groups(logged.data.metrics) == {
        "source_rows": 5,
        "source_kept": 3,
        "source_quarantined": 2,
        "source_quarantined_bad_id": 2,
        "source_unlabelled": 1,
        "source_unreadable_keywords": 0,
        "source_unreadable_credits": 0,
    }
