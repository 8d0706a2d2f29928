"""Vectors and labels -> trained classifier, and the genre probabilities of every document.

The network is in `network.py`, its training in `training.py`. They are imported where they are
used: torch takes seconds to load, and a fully cached run never needs it.
"""

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
from tasks.genres.inference import genre_probabilities, load_classifier, save_classifier
from tasks.genres.metrics import tuned_thresholds

VERSION = 4


def _fit(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    config: ClassifierConfig,
    writer: store.EntryWriter,
) -> ClassifierRef:
    from tasks.genres import training as net
    from tasks.genres.network import fold_batch_norm

    device = net.pick_device(config.device)
    indicator, classes = store.read_labels(labels)
    split = np.array(store.read(documents, ["split"])["split"].to_pylist())
    train, validation = (
        net.examples_of(store.select_vectors(vectors, rows), indicator[rows], device)
        for rows in ((split == name) & indicator.any(axis=1) for name in ("train", "validation"))
    )
    net.require_examples(train, validation)
    classifier, history = net.train_classifier(train, validation, config, writer.checkpoint_dir)
    answering = fold_batch_norm(classifier)
    thresholds = tuned_thresholds(
        validation.labels.cpu().numpy().astype(np.uint8),
        genre_probabilities(answering, validation.vectors.cpu().numpy()),
        config.threshold,
        config.threshold_support,
    )
    named = dict(zip(classes, thresholds.tolist(), strict=True))
    save_classifier(answering, named, writer.folder)
    passes = pa.Table.from_pylist([epoch._asdict() for epoch in history])
    pq.write_table(passes.drop_columns("seconds"), writer.folder / "history.parquet")
    seconds = sum(epoch.seconds for epoch in history)
    training = {
        "device": device.type,
        "train_seconds": seconds,
        "train_samples_per_second": len(train.labels) * len(history) / seconds,
        "train_peak_memory_mb": net.peak_memory_mb(device),
    }
    store.write_json(writer.folder / "training.json", training)
    return writer.folder_ref(ClassifierRef, len(train.labels), measured="training.json")


@task(name="fit-classifier", cache_policy=NO_CACHE)
def fit_classifier(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    config: ClassifierConfig,
    compute: Compute,
) -> ClassifierRef:
    """Train on the labelled movies of the train split, tune on those of the validation split."""

    def fit(writer: store.EntryWriter) -> ClassifierRef:
        with watch_epochs("fit-classifier", writer.checkpoint_dir):
            return run_in_fresh_process(compute, _fit, documents, vectors, labels, config, writer)

    key = [VERSION, config, documents.digest, vectors.digest, labels.digest]
    ref = store.get_or_create("classifier", key, ClassifierRef, fit)
    history = pq.read_table(store.locate(ref) / "history.parquet").to_pylist()
    training = store.read_json(store.locate(ref) / "training.json")
    get_run_logger().info(
        "%d movies, %d epochs of %d networks on %s in %.1f s (%.0f samples/s), validation F1 %.3f",
        ref.rows,
        len(history),
        config.members,
        training["device"],
        training["train_seconds"],
        training["train_samples_per_second"],
        max(epoch["val_f1_micro"] for epoch in history),
    )
    return ref


def _predict(
    classifier: ClassifierRef, vectors: VectorsRef, writer: store.EntryWriter
) -> ProbabilitiesRef:
    answering = load_classifier(store.locate(classifier)).classifier
    parts = [genre_probabilities(answering, store.matrix(part)) for part in store.chunks(vectors)]
    np.save(writer.folder / "probabilities.npy", np.concatenate(parts))
    return writer.file_ref(ProbabilitiesRef, "probabilities.npy", vectors.rows)


@task(name="predict-genres", cache_policy=NO_CACHE)
def predict_genres(classifier: ClassifierRef, vectors: VectorsRef) -> ProbabilitiesRef:
    """Genre probabilities of every document."""
    return store.get_or_create(
        "probabilities",
        [VERSION, classifier.digest, vectors.digest],
        ProbabilitiesRef,
        lambda writer: _predict(classifier, vectors, writer),
    )
