"""Trained models and evaluations -> MLflow: metrics, tables, figures and model files."""

from pathlib import Path

import mlflow
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
from tasks.core.retry import io_task
from tasks.core.storage import store
from tasks.registry.tracking.metrics import log_metrics, log_steps
from tasks.registry.tracking.mlflow_client import connect

SHOWN_TABLES = (
    "genres",
    "slices",
    "mistakes",
    "votes_curve",
    "sample_lists",
    "gate",
    "lists_beside",
    "drift",
)


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
    """Log scores, epochs, tables and model files; the scores come back for the summary."""
    client = connect()
    scores: dict[str, float] = {}
    for ref in evaluated:
        scores |= log_evaluation(client, run, ref)
    for file in (one for ref in (*evaluated, *figures) for one in store.locate(ref).glob("*.png")):
        client.log_artifact(run.run_id, str(file), "evaluation")
    fitted = {"doc2vec": store.locate(doc2vec), "classifier": store.locate(classifier)}
    log_training(client, run, **fitted, protocol=protocol)
    for name, folder in (fitted | {"lexicon": store.locate(lexicon)}).items():
        client.log_artifacts(run.run_id, str(folder), name)
    client.log_artifact(run.run_id, str(_embeddings(documents, vectors)))
    return scores


@io_task("track-gate")
def track_gate(run: RunRef, compared: list[ScoresRef]) -> dict[str, float]:
    """Log the comparison with a champion that was promoted while this run was at work."""
    client, scores = connect(), dict[str, float]()
    for ref in compared:
        scores |= log_evaluation(client, run, ref)
    return scores


def log_evaluation(client: mlflow.MlflowClient, run: RunRef, ref: ScoresRef) -> dict[str, float]:
    """Log metrics and tables of one evaluation; its metrics."""
    folder = store.locate(ref)
    metrics: dict[str, float] = store.read_json(folder / "metrics.json")
    log_metrics(client, run, metrics)
    for file in sorted(folder.glob("*.parquet")):
        client.log_artifact(run.run_id, str(file), "evaluation")
        if file.stem in SHOWN_TABLES:
            columns = pq.read_table(file).to_pydict()
            client.log_table(run.run_id, columns, f"evaluation/{file.stem}.json")
    return metrics


def log_training(
    client: mlflow.MlflowClient, run: RunRef, doc2vec: Path, classifier: Path, protocol: str
) -> None:
    """Log how both trainings went; a leaky run's scores carry its protocol's name."""
    moves = {"learning_rate": "doc2vec_learning_rate", "drift": "doc2vec_drift"}
    log_steps(client, run, pq.read_table(doc2vec / "history.parquet"), moves)
    losses = {name: name for name in ("train_loss", "val_loss", "val_f1_micro")}
    if protocol != "held-out":
        losses["val_f1_micro"] = f"{protocol}_val_f1_micro"
    log_steps(client, run, pq.read_table(classifier / "history.parquet"), losses)
    training = store.read_json(classifier / "training.json")
    client.set_tag(run.run_id, "device", training.pop("device"))
    log_metrics(client, run, training | store.read_json(doc2vec / "training.json"))


def _embeddings(documents: DocumentsRef, vectors: VectorsRef) -> Path:
    """The stored table of `write_embeddings`."""

    def write(writer: store.EntryWriter) -> VectorsRef:
        write_embeddings(documents, vectors, writer.folder / "movie_embeddings.parquet")
        return writer.file_ref(VectorsRef, "movie_embeddings.parquet", documents.rows)

    key = [documents.digest, vectors.digest]
    return store.locate(store.get_or_create("embeddings", key, VectorsRef, write))


def write_embeddings(documents: DocumentsRef, vectors: VectorsRef, path: Path) -> None:
    """Write `id`, `title`, `genres`, `embedding` of every movie, a row group a chunk."""
    movies = store.chunks(documents, ["source", "id", "title", "genres"])
    embeddings = store.chunks(vectors, ["embedding"])
    writer: pq.ParquetWriter | None = None
    for names, vector in zip(movies, embeddings, strict=True):
        table = names.append_column("embedding", vector["embedding"])
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
