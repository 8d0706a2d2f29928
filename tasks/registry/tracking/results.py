"""Trained models and evaluations -> MLflow: metrics, tables, figures and model files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    FiguresRef,
    RunRef,
    ScoresRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.orchestration.retry import io_task
from tasks.core.storage import store
from tasks.registry.tracking.metrics import log_epochs, log_metrics
from tasks.registry.tracking.mlflow_client import connect

SHOWN_TABLES = (
    "genres",
    "slices",
    "mistakes",
    "scorers",
    "sample_lists",
    "behaviour",
    "gate",
    "lists_beside",
    "drift",
)
SEPARATOR = "; "  # between titles, which contain commas


@io_task("track-results")
def track_results(
    run: RunRef,
    documents: DocumentsRef,
    vectors: VectorsRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    lexicon: TransformerRef,
    evaluated: list[ScoresRef],
    figures: list[FiguresRef],
    protocol: str,
) -> dict[str, float]:
    """Log metrics, training histories, tables, figures and model files; return the metrics."""
    client = connect()
    metrics = log_evaluations(client, run, evaluated)
    log_figures(client, run, [*evaluated, *figures])
    trained = {"doc2vec": store.locate(doc2vec), "classifier": store.locate(classifier)}
    log_doc2vec_training(client, run, trained["doc2vec"])
    log_classifier_training(client, run, trained["classifier"], protocol)
    for name, folder in (trained | {"lexicon": store.locate(lexicon)}).items():
        client.log_artifacts(run.run_id, str(folder), name)
    client.log_artifact(run.run_id, str(store.locate(_embeddings_table(documents, vectors))))
    return metrics


@io_task("track-gate")
def track_gate(run: RunRef, comparisons: list[ScoresRef]) -> dict[str, float]:
    """Log the comparison with a champion that was promoted during this run; return the metrics."""
    return log_evaluations(connect(), run, comparisons)


def log_evaluations(
    client: mlflow.MlflowClient, run: RunRef, evaluations: Iterable[ScoresRef]
) -> dict[str, float]:
    """Log the metrics and tables of evaluations; return all metrics by name."""
    metrics: dict[str, float] = {}
    for folder in map(store.locate, evaluations):
        folder_metrics = store.read_json(folder / "metrics.json")
        log_metrics(client, run, folder_metrics)
        log_tables(client, run, folder)
        metrics |= folder_metrics
    return metrics


def log_tables(client: mlflow.MlflowClient, run: RunRef, folder: Path) -> None:
    """Log the Parquet files of a folder; those of `SHOWN_TABLES` also for MLflow's table view."""
    for file in sorted(folder.glob("*.parquet")):
        client.log_artifact(run.run_id, str(file), "evaluation")
        if file.stem in SHOWN_TABLES:
            columns = _shown_columns(pq.read_table(file))
            client.log_table(run.run_id, columns, f"evaluation/{file.stem}.json")


def _shown_columns(table: pa.Table) -> dict[str, list[Any]]:
    """Columns of a table; lists become texts, which MLflow's table view would show as JSON."""
    columns: dict[str, list[Any]] = table.to_pydict()
    for name in (field.name for field in table.schema if pa.types.is_list(field.type)):
        columns[name] = [None if row is None else SEPARATOR.join(row) for row in columns[name]]
    return columns


def log_figures(
    client: mlflow.MlflowClient, run: RunRef, refs: Iterable[ScoresRef | FiguresRef]
) -> None:
    """Log the PNG files of stored folders."""
    for folder in map(store.locate, refs):
        for file in folder.glob("*.png"):
            client.log_artifact(run.run_id, str(file), "evaluation")


def log_doc2vec_training(client: mlflow.MlflowClient, run: RunRef, folder: Path) -> None:
    """Log the history and the final values of a Doc2Vec training."""
    names = {"learning_rate": "doc2vec_learning_rate", "drift": "doc2vec_drift"}
    log_epochs(client, run, pq.read_table(folder / "history.parquet"), names)
    log_metrics(client, run, store.read_json(folder / "training.json"))


def log_classifier_training(
    client: mlflow.MlflowClient, run: RunRef, folder: Path, protocol: str
) -> None:
    """Log the history, the device and the final values of a classifier training.

    The validation F1 of a protocol that is not held-out is named after the protocol, so that it is
    never charted with comparable values.
    """
    f1_name = "val_f1_micro" if protocol == "held-out" else f"{protocol}_val_f1_micro"
    names = {"train_loss": "train_loss", "val_loss": "val_loss", "val_f1_micro": f1_name}
    log_epochs(client, run, pq.read_table(folder / "history.parquet"), names)
    training = store.read_json(folder / "training.json")
    client.set_tag(run.run_id, "device", training.pop("device"))
    log_metrics(client, run, training)


def _embeddings_table(documents: DocumentsRef, vectors: VectorsRef) -> VectorsRef:
    """The stored file of `write_embeddings`."""

    def write(writer: store.EntryWriter) -> VectorsRef:
        write_embeddings(documents, vectors, writer.folder / "movie_embeddings.parquet")
        return writer.file_ref(VectorsRef, "movie_embeddings.parquet", documents.rows)

    return store.get_or_create("embeddings", [documents.digest, vectors.digest], VectorsRef, write)


def write_embeddings(documents: DocumentsRef, vectors: VectorsRef, path: Path) -> None:
    """Write `source`, `id`, `title`, `genres`, `embedding` of every movie, one row group per chunk.

    Without documents no file is written.
    """
    movies = store.chunks(documents, ["source", "id", "title", "genres"])
    embeddings = store.chunks(vectors, ["embedding"])
    writer: pq.ParquetWriter | None = None
    for movie_chunk, vector_chunk in zip(movies, embeddings, strict=True):
        table = movie_chunk.append_column("embedding", vector_chunk["embedding"])
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
