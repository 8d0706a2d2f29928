"""Vectors and labels -> trained classifier, and the genre probabilities of every document.

The network lies in `tasks/network.py`. It is imported where it is used: torch takes seconds to
load, and a run that finds everything in the cache never needs it.
"""

import time
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from tasks import store
from tasks.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    VectorsRef,
    best_threshold,
)

VERSION = 1


class ClassifierConfig(BaseModel):
    """The post's network and how it is trained."""

    hidden: tuple[int, ...] = Field((512, 256, 128), description="Units of the hidden layers")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of units dropped in training")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")
    batch_size: int = Field(128, ge=2, description="Documents a step")
    epochs: int = Field(30, ge=1, description="Passes over the train split, at most")
    patience: int | None = Field(
        4, ge=1, description="Epochs without a better validation loss before stopping; null: never"
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="Probability from which a genre is predicted; null: tuned"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to train")
    seed: int = Field(42, ge=0, description="Seed of weights, dropout and batch order")


def _fit(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    config: ClassifierConfig,
    slot: store.Slot,
) -> ClassifierRef:
    from tasks import network as net

    device = net.pick_device(config.device)
    matrix, (indicator, classes) = store.matrix(store.read(vectors)), store.read_labels(labels)
    split = np.array(store.read(documents, ["split"])["split"].to_pylist())
    train = net.examples_of(matrix, indicator, split == "train", device)
    validation = net.examples_of(matrix, indicator, split == "validation", device)
    net.require_examples(train, validation)
    start = time.perf_counter()
    network, history = net.train_classifier(train, validation, config)
    seconds = time.perf_counter() - start
    tuned = best_threshold(
        validation.labels.cpu().numpy().astype(np.uint8),
        net.predict_probabilities(network, validation.vectors.cpu().numpy()),
    )
    net.save_classifier(network, classes, [config.threshold or tuned] * len(classes), slot.folder)
    pq.write_table(
        pa.Table.from_pylist([epoch._asdict() for epoch in history]),
        slot.folder / "history.parquet",
    )
    training = {
        "device": device.type,
        "train_seconds": seconds,
        "train_samples_per_second": len(train.labels) * len(history) / seconds,
    }
    store.write_json(slot.folder / "training.json", training)
    return slot.whole(ClassifierRef, len(train.labels))


@task(name="fit-classifier", cache_policy=NO_CACHE)
def fit_classifier(
    documents: DocumentsRef, vectors: VectorsRef, labels: LabelsRef, config: ClassifierConfig
) -> ClassifierRef:
    """Train on the labelled movies of the train split, tune on those of the validation split."""
    ref = store.entry(
        "classifier",
        [VERSION, config, documents.digest, vectors.digest, labels.digest],
        ClassifierRef,
        lambda slot: _fit(documents, vectors, labels, config, slot),
    )
    history = pq.read_table(store.locate(ref) / "history.parquet").to_pylist()
    training = store.read_json(store.locate(ref) / "training.json")
    get_run_logger().info(
        "%d movies, %d epochs on %s in %.1f s (%.0f samples/s), validation F1 %.3f",
        ref.rows,
        len(history),
        training["device"],
        training["train_seconds"],
        training["train_samples_per_second"],
        max(epoch["val_f1_micro"] for epoch in history),
    )
    return ref


def _predict(classifier: ClassifierRef, vectors: VectorsRef, slot: store.Slot) -> ProbabilitiesRef:
    from tasks.network import load_classifier, predict_probabilities

    network, _, _ = load_classifier(store.locate(classifier))
    probabilities = predict_probabilities(network, store.matrix(store.read(vectors)))
    np.save(slot.folder / "probabilities.npy", probabilities)
    return slot.ref(ProbabilitiesRef, "probabilities.npy", vectors.rows)


@task(name="predict-genres", cache_policy=NO_CACHE)
def predict_genres(classifier: ClassifierRef, vectors: VectorsRef) -> ProbabilitiesRef:
    """Genre probabilities of every document."""
    return store.entry(
        "probabilities",
        [VERSION, classifier.digest, vectors.digest],
        ProbabilitiesRef,
        lambda slot: _predict(classifier, vectors, slot),
    )
