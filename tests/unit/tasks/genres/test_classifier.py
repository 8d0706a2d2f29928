from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from prefect.logging import disable_run_logger

from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, LabelsRef, VectorsRef
from tasks.core.storage import store
from tasks.genres.classifier import fit_classifier
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import genre_probabilities, load_classifier
from tasks.genres.metrics import find_best_threshold
from tests.support.stored import stored_folder, stored_table

MOVIES = 100
SPLITS = np.array([["train", "train", "train", "validation", "test"][n % 5] for n in range(MOVIES)])


def write_labels(folder: Path) -> None:
    labels = np.random.default_rng(0).random((MOVIES, 2)) < [0.3, 0.6]
    np.save(folder / "labels.npy", labels.astype(np.uint8))
    store.write_json(folder / "classes.json", ["Horror", "War"])


def test_the_stored_threshold_is_the_best_on_labelled_validation_movies():
    vectors = np.random.default_rng(1).normal(size=(MOVIES, 3)).astype(np.float32)
    ids, labels = pa.chunked_array([list(range(MOVIES))]), stored_folder(LabelsRef, write_labels)
    with disable_run_logger():
        fitted = fit_classifier.fn(
            documents=stored_table(DocumentsRef, pa.table({"split": SPLITS})),
            vectors=stored_table(VectorsRef, store.vectors_table(ids, vectors)),
            labels=labels,
            config=ClassifierConfig(hidden=(4,), epochs=2, calibrate=False, device="cpu"),
            compute=Compute(),
        )
    loaded, (indicator, _) = load_classifier(store.locate(fitted)), store.read_labels(labels)
    rows = (SPLITS == "validation") & indicator.any(axis=1)
    probabilities = genre_probabilities(loaded.classifier, vectors[rows])
    best = find_best_threshold(indicator[rows], probabilities)
    assert loaded.thresholds.tolist() == pytest.approx([best.threshold] * 2)
