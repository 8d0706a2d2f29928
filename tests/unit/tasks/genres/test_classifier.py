"""Of which movies a classifier learns its weights, its calibration and its thresholds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from prefect.logging import disable_run_logger
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, LabelsRef, VectorsRef
from tasks.core.storage import store
from tasks.genres.classifier import fit_classifier
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import LoadedClassifier, genre_probabilities, load_classifier
from tasks.genres.metrics import find_best_threshold
from tests.support.stored import stored_folder, stored_table

MOVIES = 900
SPLITS = np.array([["train", "train", "train", "validation", "test"][n % 5] for n in range(MOVIES)])
VECTORS = np.random.default_rng(0).normal(size=(MOVIES, 3)).astype(np.float32)
NOISE = np.random.default_rng(1).normal(size=(MOVIES, 2))
LABELS = (VECTORS[:, :2] + NOISE > [0.5, -0.2]).astype(np.uint8)
LABELLED_VALIDATION = (SPLITS == "validation") & LABELS.any(axis=1)


def write_labels(folder: Path) -> None:
    np.save(folder / "labels.npy", LABELS)
    store.write_json(folder / "classes.json", ["Horror", "War"])


def fit(*, calibrate: bool) -> LoadedClassifier:
    ids = pa.chunked_array([list(range(MOVIES))])
    with disable_run_logger():
        fitted = fit_classifier.fn(
            documents=stored_table(DocumentsRef, pa.table({"split": SPLITS})),
            vectors=stored_table(VectorsRef, store.vectors_table(ids, VECTORS)),
            labels=stored_folder(LabelsRef, write_labels),
            config=ClassifierConfig(hidden=(4,), epochs=2, calibrate=calibrate, device="cpu"),
            compute=Compute(),
        )
    return load_classifier(store.locate(fitted))


def test_the_stored_threshold_is_the_best_on_labelled_validation_movies():
    loaded = fit(calibrate=False)
    probabilities = genre_probabilities(loaded.classifier, VECTORS[LABELLED_VALIDATION])
    best = find_best_threshold(LABELS[LABELLED_VALIDATION], probabilities)
    assert loaded.thresholds.tolist() == pytest.approx([best.threshold] * 2)


def test_logits_are_calibrated_on_labelled_validation_movies():
    plain, calibrated = fit(calibrate=False).classifier, fit(calibrate=True).classifier
    logits = logit(genre_probabilities(plain, VECTORS[LABELLED_VALIDATION])).reshape(-1, 1)
    platt = LogisticRegression().fit(logits, LABELS[LABELLED_VALIDATION].ravel())
    assert calibrated.scale == pytest.approx(platt.coef_[0, 0], rel=1e-3)
    assert calibrated.shift == pytest.approx(platt.intercept_[0], rel=1e-3)
