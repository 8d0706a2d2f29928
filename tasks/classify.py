"""Vectors and labels -> trained classifier, and the genre probabilities of every document.

The network lies in `tasks/network.py`, its training in `tasks/training.py`. They are imported where
they are used: torch takes seconds to
load, and a run that finds everything in the cache never needs it.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from tasks import store
from tasks.compute import Compute, run_alone
from tasks.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    VectorsRef,
)
from tasks.forward import genre_probabilities, load_classifier, save_classifier
from tasks.metrics import tuned_thresholds
from tasks.progress import following
from tasks.strict_config import StrictConfig

VERSION = 4


class ClassifierConfig(StrictConfig):
    """The network, how it is trained, and how many of it answer together."""

    hidden: tuple[int, ...] = Field((512, 256), description="Units of the hidden layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of units dropped in training")
    learning_rate: float = Field(4e-3, gt=0, description="Adam's step size")
    batch_size: int = Field(2048, ge=2, description="Documents a step, at most")
    epochs: int = Field(20, ge=1, description="Passes over the train split, at most")
    patience: int | None = Field(
        4, ge=1, description="Epochs without a better validation loss before stopping; null: never"
    )
    members: int = Field(
        1, ge=1, le=20, description="Networks from different seeds whose logits are averaged"
    )
    positive_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Power of negatives/positives by which a rare genre's carriers weigh more",
    )
    standardise: bool = Field(True, description="Bring every input to mean 0 and variance 1")
    calibrate: bool = Field(True, description="Scale and shift the logits on validation movies")
    threshold: float | None = Field(
        None, gt=0, lt=1, description="Probability from which a genre is predicted; null: tuned"
    )
    threshold_support: int | None = Field(
        None,
        ge=1,
        description="Validation movies that give a genre a threshold of its own; null: one for all",
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
    from tasks import training as net
    from tasks.network import folded

    device = net.pick_device(config.device)
    indicator, classes = store.read_labels(labels)
    split = np.array(store.read(documents, ["split"])["split"].to_pylist())
    train, validation = (
        net.examples_of(store.chosen_vectors(vectors, rows), indicator[rows], device)
        for rows in ((split == name) & indicator.any(axis=1) for name in ("train", "validation"))
    )
    net.require_examples(train, validation)
    classifier, history = net.train_classifier(train, validation, config, slot.work)
    answering = folded(classifier)
    thresholds = tuned_thresholds(
        validation.labels.cpu().numpy().astype(np.uint8),
        genre_probabilities(answering, validation.vectors.cpu().numpy()),
        config.threshold,
        config.threshold_support,
    )
    named = dict(zip(classes, thresholds.tolist(), strict=True))
    save_classifier(answering, named, slot.folder)
    passes = pa.Table.from_pylist([epoch._asdict() for epoch in history])
    pq.write_table(passes.drop_columns("seconds"), slot.folder / "history.parquet")
    seconds = sum(epoch.seconds for epoch in history)
    training = {
        "device": device.type,
        "train_seconds": seconds,
        "train_samples_per_second": len(train.labels) * len(history) / seconds,
        "train_peak_memory_mb": net.peak_memory_mb(device),
    }
    store.write_json(slot.folder / "training.json", training)
    return slot.whole(ClassifierRef, len(train.labels), measured="training.json")


@task(name="fit-classifier", cache_policy=NO_CACHE)
def fit_classifier(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    config: ClassifierConfig,
    compute: Compute,
) -> ClassifierRef:
    """Train on the labelled movies of the train split, tune on those of the validation split."""

    def fit(slot: store.Slot) -> ClassifierRef:
        with following("fit-classifier", slot.work):
            return run_alone(compute, _fit, documents, vectors, labels, config, slot)

    key = [VERSION, config, documents.digest, vectors.digest, labels.digest]
    ref = store.entry("classifier", key, ClassifierRef, fit)
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


def _predict(classifier: ClassifierRef, vectors: VectorsRef, slot: store.Slot) -> ProbabilitiesRef:
    answering = load_classifier(store.locate(classifier)).classifier
    parts = [genre_probabilities(answering, store.matrix(part)) for part in store.chunks(vectors)]
    np.save(slot.folder / "probabilities.npy", np.concatenate(parts))
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
