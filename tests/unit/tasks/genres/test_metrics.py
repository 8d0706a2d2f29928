import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import f1_score

from tasks.core.contracts import UserError
from tasks.genres.metrics import (
    apply_thresholds,
    bootstrap_f1,
    bootstrap_interval,
    calibration_error,
    find_best_threshold,
    macro_f1,
    multilabel_scores,
    tune_thresholds,
)

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], np.uint8)
CORRECT = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.2], [0.1, 0.9, 0.3]], np.float32)
HALF = np.full(3, 0.5, np.float32)


def test_perfect_predictions_score_one():
    scores = multilabel_scores(LABELS, CORRECT, HALF, "test")
    for name in ("f1_micro", "f1_macro", "f1_samples", "precision_micro", "recall_micro"):
        assert scores[f"test_{name}"] == 1.0
    assert scores["test_hamming_loss"] == 0.0
    assert scores["test_average_precision_macro"] == 1.0


def test_scores_match_a_count_by_hand():
    probabilities = np.array([[0.9, 0.9, 0.1], [0.8, 0.2, 0.2], [0.1, 0.9, 0.3]], np.float32)
    scores = multilabel_scores(LABELS, probabilities, HALF, "test")
    assert scores["test_precision_micro"] == pytest.approx(3 / 4)
    assert scores["test_recall_micro"] == pytest.approx(3 / 4)
    assert scores["test_f1_macro"] == pytest.approx((1 + 0.5) / 2)
    assert scores["test_hamming_loss"] == pytest.approx(2 / 9)


def test_scores_are_always_finite():
    scores = multilabel_scores(LABELS[:1], np.zeros((1, 3), np.float32), HALF, "test")
    assert all(math.isfinite(value) for value in scores.values())
    all_wrong = multilabel_scores(LABELS, (1 - LABELS).astype(np.float32), HALF, "test")
    assert all(math.isfinite(value) for value in all_wrong.values())


def test_best_threshold_separates_positives_from_negatives():
    labels = np.array([[1, 0], [0, 1], [1, 0]], np.uint8)
    probabilities = np.array([[0.4, 0.1], [0.2, 0.6], [0.5, 0.3]], np.float32)
    assert find_best_threshold(labels, probabilities).threshold == pytest.approx(0.4)


def test_tuning_without_labelled_movies_is_refused():
    with pytest.raises(UserError, match="No validation movie"):
        find_best_threshold(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32))


def test_genre_with_enough_support_gets_a_separate_threshold():
    labels = np.array([[1, 1], [1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.3, 0.9], [0.2, 0.8], [0.1, 0.1]], np.float32)
    overall = find_best_threshold(labels, probabilities).threshold
    assert tune_thresholds(labels, probabilities).tolist() == pytest.approx([overall] * 2)
    thresholds = tune_thresholds(labels, probabilities, support=2)
    assert thresholds.tolist() == pytest.approx([0.2, overall])
    assert tune_thresholds(labels, probabilities, fixed=0.7).tolist() == pytest.approx([0.7] * 2)


def test_probability_equal_to_the_threshold_is_predicted():
    assert apply_thresholds(np.array([[0.5, 0.49]], np.float32), HALF[:2]).tolist() == [[1, 0]]


def test_calibrated_probabilities_have_no_calibration_error():
    labels = np.array([[1], [0], [0], [0]], np.uint8)
    assert calibration_error(labels, np.full((4, 1), 0.25, np.float32)) == pytest.approx(0)
    assert calibration_error(labels, np.full((4, 1), 0.75, np.float32)) == pytest.approx(0.5)
    assert calibration_error(labels, labels.astype(np.float32)) == 0


@settings(max_examples=20)
@given(
    arrays.arrays(np.uint8, (6, 3), elements=st.integers(0, 1)).filter(np.any),
    arrays.arrays(np.uint8, (6, 3), elements=st.integers(0, 1)),
)
def test_bootstrap_scores_lie_between_0_and_1(labels, predictions):
    for values in bootstrap_f1(labels, predictions).values():
        assert ((values >= 0) & (values <= 1)).all()


def test_bootstrap_interval_contains_the_score():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 4)) < 0.3).astype(np.uint8)
    predictions = np.where(rng.random((300, 4)) < 0.2, 1 - labels, labels).astype(np.uint8)
    bootstrap = bootstrap_f1(labels, predictions)
    for name, score in (
        ("micro", f1_score(labels, predictions, average="micro")),
        ("macro", macro_f1(labels, predictions)),
    ):
        bounds = bootstrap_interval(bootstrap[name], name)
        assert bounds[f"{name}_low"] < score < bounds[f"{name}_high"]
        assert bounds[f"{name}_high"] - bounds[f"{name}_low"] < 0.15
