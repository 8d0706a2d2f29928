import json
from pathlib import Path

import mlflow
import pyarrow as pa
import pytest
from mlflow.types import Schema

from tasks.core.contracts import MOVIES, IngestRef, QuarantineRef, RunRef
from tasks.core.storage import store
from tasks.registry.model_registry import tracking_uri
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.source import dataset_schema, track_source


def ingested(quarantine: QuarantineRef) -> IngestRef:
    return IngestRef(
        source="movies.csv",
        digest="ab" * 32,
        files=(f"a/a.csv {'1' * 64}", f"b/b.csv {'2' * 64}"),
        chunks=(),
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


def test_the_run_has_the_source_as_a_dataset_with_schema_and_row_counts(artifacts):
    client = connect()
    experiment = experiment_id(client)
    run_id = client.create_run(experiment).info.run_id
    run = RunRef(run_id=run_id, experiment_id=experiment, tracking_uri=tracking_uri())
    quarantine = store.get_or_create(
        "quarantine",
        [1],
        QuarantineRef,
        lambda writer: writer.table_ref(
            QuarantineRef, "quarantine.parquet", pa.table({"row": [7, 9]})
        ),
    )
    track_source.fn(run, ingested(quarantine))

    files = client.download_artifacts(run_id, "source/files.txt")
    assert Path(files).read_text().splitlines() == [f"a/a.csv {'1' * 64}", f"b/b.csv {'2' * 64}"]
    logged = mlflow.get_run(run_id)
    (dataset_input,) = logged.inputs.dataset_inputs
    schema = json.loads(dataset_input.dataset.schema)["mlflow_colspec"]
    assert Schema.from_json(json.dumps(schema)) == dataset_schema(MOVIES)
    assert (dataset_input.dataset.name, dataset_input.dataset.digest) == ("movies.csv", "ab" * 16)
    assert logged.data.metrics == {
        "source_rows": 5,
        "source_kept": 3,
        "source_quarantined": 2,
        "source_quarantined_bad_id": 2,
        "source_unlabelled": 1,
        "source_unreadable_keywords": 0,
        "source_unreadable_credits": 0,
    }
