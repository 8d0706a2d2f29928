"""Vectors and labels -> trained classifier, and the genre probabilities of every document.

Network and training loop are in `network.py` and `training.py`. Only the training function
imports them: loading torch takes seconds, and a fully cached run never needs it.
"""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.compute import Compute, run_in_fresh_process
from tasks.core.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    VectorsRef,
)
from tasks.core.progress import watch_epochs
from tasks.core.storage import store
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import (
    Classifier,
    genre_probabilities,
    load_classifier,
    save_classifier,
)
from tasks.genres.metrics import Probabilities, tune_thresholds

if TYPE_CHECKING:
    import torch

    from tasks.genres.checkpoints import Epoch
    from tasks.genres.training import Examples


def _load_examples(
    documents: DocumentsRef, vectors: VectorsRef, labels: LabelsRef, device: "torch.device"
) -> "tuple[Examples, Examples]":
    """Labelled movies of the train and of the validation split."""
    from tasks.genres.training import require_examples, to_examples

    indicator, _ = store.read_labels(labels)
    split = np.array(store.read(documents, ["split"])["split"].to_pylist())
    train, validation = (
        to_examples(store.select_vectors(vectors, rows), indicator[rows], device)
        for rows in ((split == name) & indicator.any(axis=1) for name in ("train", "validation"))
    )
    require_examples(train, validation)
    return train, validation


def _tune(
    classifier: Classifier, validation: "Examples", config: ClassifierConfig
) -> Probabilities:
    return tune_thresholds(
        labels=validation.labels.cpu().numpy().astype(np.uint8),
        probabilities=genre_probabilities(classifier, validation.vectors.cpu().numpy()),
        fixed=config.threshold,
        calibrated=config.calibrate,
    )


def _save_training_record(
    history: "list[Epoch]", documents: int, device: "torch.device", folder: Path
) -> None:
    """Write `history.parquet`, a row per epoch, and `training.json`: device, speed and memory."""
    from tasks.genres.training import peak_memory_mb

    epochs = pa.Table.from_pylist([epoch._asdict() for epoch in history])
    pq.write_table(epochs.drop_columns("seconds"), folder / "history.parquet")
    seconds = sum(epoch.seconds for epoch in history)
    record = {
        "device": device.type,
        "train_seconds": seconds,
        "train_samples_per_second": documents * len(history) / seconds,
        "train_peak_memory_mb": peak_memory_mb(device),
    }
    store.write_json(folder / "training.json", record)


def _fit(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    config: ClassifierConfig,
    writer: store.EntryWriter,
) -> ClassifierRef:
    from tasks.genres.network import fold_batch_norm
    from tasks.genres.training import pick_device, split_validation, train_classifier

    device = pick_device(config.device)
    train, validation = _load_examples(documents, vectors, labels, device=device)
    trained, history = train_classifier(
        train, validation, config=config, checkpoint_dir=writer.checkpoint_dir
    )
    classifier = fold_batch_norm(trained)
    _, choosing = split_validation(validation, config)
    thresholds = _tune(classifier, choosing, config).tolist()
    _, classes = store.read_labels(labels)
    save_classifier(classifier, dict(zip(classes, thresholds, strict=True)), writer.folder)
    _save_training_record(history, documents=len(train.labels), device=device, folder=writer.folder)
    return writer.folder_ref(ClassifierRef, len(train.labels), measured="training.json")


@task(name="fit-classifier", cache_policy=NO_CACHE)
def fit_classifier(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    config: ClassifierConfig,
    compute: Compute,
) -> ClassifierRef:
    """Train on labelled movies of the train split, tune thresholds on the validation split.

    Raises:
        UserError: the device is not available, or a split has too few labelled movies.
    """

    def fit(writer: store.EntryWriter) -> ClassifierRef:
        with watch_epochs("fit-classifier", writer.checkpoint_dir):
            return run_in_fresh_process(compute, _fit, documents, vectors, labels, config, writer)

    key = [config, documents.digest, vectors.digest, labels.digest]
    classifier = store.get_or_create("classifier", key, ClassifierRef, fit)
    _log_training(classifier, config.members)
    return classifier


def _log_training(classifier: ClassifierRef, members: int) -> None:
    folder = store.locate(classifier)
    history = pq.read_table(folder / "history.parquet").to_pylist()
    training = store.read_json(folder / "training.json")
    get_run_logger().info(
        "%d movies, %d epochs of %d networks on %s in %.1f s (%.0f samples/s), validation F1 %.3f",
        classifier.rows,
        len(history),
        members,
        training["device"],
        training["train_seconds"],
        training["train_samples_per_second"],
        max(epoch["val_f1_micro"] for epoch in history),
    )


def _predict(
    classifier: ClassifierRef,
    vectors: VectorsRef,
    documents: DocumentsRef,
    writer: store.EntryWriter,
) -> ProbabilitiesRef:
    loaded = load_classifier(store.locate(classifier)).classifier
    texts = iter(store.read(documents, ["document"])["document"].to_pylist())
    matrices = (store.matrix(chunk) for chunk in store.chunks(vectors))
    parts = [genre_probabilities(loaded, part, list(islice(texts, len(part)))) for part in matrices]
    np.save(writer.folder / "probabilities.npy", np.concatenate(parts))
    return writer.file_ref(ProbabilitiesRef, "probabilities.npy", vectors.rows)


@task(name="predict-genres", cache_policy=NO_CACHE)
def predict_genres(
    classifier: ClassifierRef, vectors: VectorsRef, documents: DocumentsRef
) -> ProbabilitiesRef:
    """Genre probabilities (n_documents, n_genres) of all documents."""
    return store.get_or_create(
        "probabilities",
        [classifier.digest, vectors.digest, documents.digest],
        ProbabilitiesRef,
        lambda writer: _predict(classifier, vectors, documents, writer),
    )
