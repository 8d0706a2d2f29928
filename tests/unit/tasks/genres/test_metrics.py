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
    expected_best_f1,
    find_best_threshold,
    macro_f1,
    micro_f1,
    multilabel_scores,
    per_genre_scores,
    samples_f1,
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
    """The predictions are 110, 100 and 010: three of four are right, three of four are found."""
    probabilities = np.array([[0.9, 0.9, 0.1], [0.8, 0.2, 0.2], [0.1, 0.9, 0.3]], np.float32)
    right = np.array([0.9, 0.1, 0.9, 0.8, 0.2, 0.8, 0.9, 0.9, 0.7])  # probability of each label
    ties = (0.5 * 1 / 2) + (0.5 * 2 / 3)  # average precision of the second genre: 0.9, 0.9, 0.2
    assert multilabel_scores(LABELS, probabilities, HALF, "test") == pytest.approx(
        {
            "test_precision_micro": 3 / 4,
            "test_recall_micro": 3 / 4,
            "test_f1_micro": 3 / 4,
            "test_f1_macro": (1 + 0.5) / 2,
            "test_f1_samples": (2 / 3 + 2 / 3 + 1) / 3,
            "test_average_precision_macro": (1 + ties) / 2,
            "test_average_precision_micro": 1 / 2 * 2 / 3 + 1 / 4 * 3 / 4 + 1 / 4 * 4 / 7,
            "test_hamming_loss": 2 / 9,
            "test_loss": -np.log(right).mean(),
            "test_calibration_error": (0.7 + 0.2 + 0.2 + 0.6 + 0.3) / 9,  # bins .9 .8 .1 .2 .3
        }
    )


def test_labels_that_are_all_positive_have_a_loss():
    labels, half = np.ones((2, 2), np.uint8), np.full((2, 2), 0.5, np.float32)
    assert multilabel_scores(labels, half, HALF[:2], "t")["t_loss"] == pytest.approx(np.log(2))


def test_a_certain_probability_is_in_the_last_of_fifteen_bins():
    """1 and 0.95 share a bin, in which one of two is positive; 0.9 is in the bin before."""
    labels = np.array([[0], [1], [1]], np.uint8)
    probabilities = np.array([[1.0], [0.95], [0.9]], np.float32)
    error = (abs(1 - 1.95) + abs(1 - 0.9)) / 3
    assert calibration_error(labels, probabilities) == pytest.approx(error)
    error = (abs(0 - 1) + abs(1 - 0.9)) / 2
    assert calibration_error(labels[[0, 2]], probabilities[[0, 2]]) == pytest.approx(error)


def test_the_loss_of_a_certain_error_is_limited():
    """By probabilities of at least 1e-7 and at most 1 - 1e-7."""
    certain = np.array([[0.0, 1.0]], np.float32)
    scores = multilabel_scores(np.array([[1, 0]], np.uint8), certain, HALF[:2], "test")
    assert scores["test_loss"] == pytest.approx(-np.log(1e-7))


def test_without_predictions_all_scores_are_zero():
    nothing = np.zeros((3, 3), np.float32)
    scores = multilabel_scores(LABELS, nothing, HALF, "test")
    for name in ("precision_micro", "recall_micro", "f1_micro", "f1_macro", "f1_samples"):
        assert scores[f"test_{name}"] == 0
    no_labels = np.zeros((2, 2), np.uint8)
    assert micro_f1(no_labels, no_labels) == samples_f1(no_labels, no_labels) == 0


def test_scores_of_genres_match_a_count_by_hand():
    """The third genre does not occur, the fourth is not predicted."""
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]], np.uint8)
    predictions = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]], np.uint8)
    scores = per_genre_scores(labels, predictions)
    assert scores.precision.tolist() == pytest.approx([1, 1 / 2, 0, 0])
    assert scores.recall.tolist() == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert scores.f1.tolist() == pytest.approx([4 / 5, 1 / 2, 0, 0])
    assert scores.support.tolist() == [3, 2, 0, 1]
    assert macro_f1(labels, predictions) == pytest.approx((4 / 5 + 1 / 2 + 0) / 3)
    one_right = per_genre_scores(labels[:1], labels[:1])
    assert one_right.precision.tolist() == one_right.recall.tolist() == [1, 1, 0, 0]


def test_scores_are_always_finite():
    scores = multilabel_scores(LABELS[:1], np.zeros((1, 3), np.float32), HALF, "test")
    assert all(math.isfinite(value) for value in scores.values())
    all_wrong = multilabel_scores(LABELS, (1 - LABELS).astype(np.float32), HALF, "test")
    assert all(math.isfinite(value) for value in all_wrong.values())


def test_best_threshold_separates_positives_from_negatives():
    labels = np.array([[1, 0], [0, 1], [1, 0]], np.uint8)
    probabilities = np.array([[0.4, 0.1], [0.2, 0.6], [0.5, 0.3]], np.float32)
    assert find_best_threshold(labels, probabilities).threshold == pytest.approx(0.4)


def test_the_best_threshold_of_poor_predictions_has_the_highest_f1():
    """Three of 20 positives come first, three more after 14 negatives: F1 0.26, then 0.30."""
    ranked = [1] * 3 + [0] * 14 + [1] * 3 + [0] * 200 + [1] * 14
    labels = np.array(ranked, np.uint8)[:, None]
    probabilities = np.linspace(0.9, 0.1, len(labels), dtype=np.float32)[:, None]
    best = find_best_threshold(labels, probabilities)
    assert best.f1 == pytest.approx(f1_score(labels, probabilities >= probabilities[19]))
    assert best.threshold == pytest.approx(probabilities[19, 0])


def test_tuning_without_labelled_movies_is_refused():
    with pytest.raises(UserError, match="No validation movie"):
        find_best_threshold(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32))


def test_a_threshold_is_between_half_the_best_f1_of_all_and_that_of_its_genre():
    """All pairs: from 0.5 on 2 of 3 are right, F1 2*2/(3+3); a genre alone: as is expected."""
    labels = np.array([[1, 1], [0, 0], [1, 0]], np.uint8)
    probabilities = np.array([[0.9, 0.5], [0.6, 0.2], [0.1, 0.1]], np.float32)
    overall = find_best_threshold(labels, probabilities).f1
    assert overall == pytest.approx(2 / 3)
    first, second = 2 * 1.5 / (2 + 1.6), 2 * 0.7 / (2 + 0.8)  # two movies of each are best
    second = max(second, 2 * 0.5 / (1 + 0.8))  # or one
    expected = [(overall / 2 + genre / 2) / 2 for genre in (first, second)]
    thresholds = tune_thresholds(labels, probabilities)
    assert thresholds.tolist() == pytest.approx(expected)
    assert thresholds.dtype == np.float32


def test_thresholds_are_as_given_or_without_calibration_those_of_the_best_f1():
    labels = np.array([[1, 1], [1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.3, 0.9], [0.2, 0.8], [0.1, 0.1]], np.float32)
    best = find_best_threshold(labels, probabilities).threshold
    tuned = tune_thresholds(labels, probabilities, calibrated=False)
    assert tuned.tolist() == pytest.approx([best] * 2)
    for calibrated in (True, False):
        fixed = tune_thresholds(labels, probabilities, fixed=0.7, calibrated=calibrated)
        assert fixed.tolist() == pytest.approx([0.7] * 2)
    with pytest.raises(UserError, match="No validation movie"):
        tune_thresholds(np.zeros((2, 2), np.uint8), probabilities[:2])


def test_thresholds_for_both_averages_lose_little_of_either():
    """Genres of one in two to one in fifty movies; probabilities are true."""
    rng = np.random.default_rng(0)
    logits = rng.normal([0, -1, -2, -3, -4], 1.5, (20_000, 5)).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    labels = (rng.random(logits.shape) < probabilities).astype(np.uint8)
    tune, judge = slice(0, 500), slice(500, None)
    thresholds = tune_thresholds(labels[tune], probabilities[tune])
    predictions = apply_thresholds(probabilities[judge], thresholds)
    best_micro = find_best_threshold(labels[judge], probabilities[judge]).f1
    of_genres = [
        find_best_threshold(labels[judge, [genre]], probabilities[judge, [genre]]).f1
        for genre in range(5)
    ]
    assert micro_f1(labels[judge], predictions) > best_micro - 0.01
    assert macro_f1(labels[judge], predictions) > np.mean(of_genres) - 0.02
    one_for_all = apply_thresholds(probabilities[judge], np.full(5, best_micro / 2))
    assert macro_f1(labels[judge], predictions) > macro_f1(labels[judge], one_for_all) + 0.01


def test_the_expected_f1_is_that_of_labels_drawn_with_these_probabilities():
    rng = np.random.default_rng(0)
    probabilities = rng.beta(1, 4, (20_000, 1))
    labels = (rng.random(probabilities.shape) < probabilities).astype(np.uint8)
    best = find_best_threshold(labels, probabilities)
    assert expected_best_f1(probabilities) == pytest.approx(best.f1, abs=0.01)
    assert best.threshold == pytest.approx(best.f1 / 2, abs=0.03)


def test_best_threshold_is_reported_with_its_f1():
    """From 0.5 on, two of three predictions are right and both positives are found."""
    labels = np.array([[1], [0], [1], [0]], np.uint8)
    probabilities = np.array([[0.9], [0.6], [0.5], [0.1]], np.float32)
    assert find_best_threshold(labels, probabilities) == pytest.approx((0.5, 4 / 5))


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


def test_bootstrap_scores_of_a_single_movie_are_its_scores():
    """Every sample is that movie; macro F1 leaves out the genre that does not occur."""
    labels, predictions = np.array([[1, 1, 0]], np.uint8), np.array([[1, 0, 1]], np.uint8)
    samples = bootstrap_f1(labels, predictions)
    assert len(samples["micro"]) == len(samples["macro"]) == 1000
    assert set(samples["micro"].tolist()) == {0.5}
    assert set(samples["macro"].tolist()) == {0.5}
    swapped = bootstrap_f1(np.array([[1, 0]], np.uint8), np.array([[1, 1]], np.uint8))
    assert swapped["micro"][0] == pytest.approx(2 / 3)
    assert swapped["macro"][0] == 1


def test_a_sample_draws_as_many_movies_as_there_are():
    """Of two movies, one is right: a sample has none, one or two of it, with 1/4, 1/2 and 1/4."""
    labels, predictions = np.ones((2, 1), np.uint8), np.array([[1], [0]], np.uint8)
    values, counts = np.unique(bootstrap_f1(labels, predictions)["micro"], return_counts=True)
    assert values.tolist() == pytest.approx([0, 2 / 3, 1])
    assert (counts / 1000).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.05)


def test_bootstrap_samples_without_labels_score_zero():
    """A sample may hold only movies without labels and predictions."""
    labels = np.array([[1], [0]], np.uint8)
    assert min(bootstrap_f1(labels, labels)["micro"]) == 0


def test_micro_average_precision_ranks_all_pairs_together():
    """Of pairs by probability the first, second and fourth are right: (1/1 + 2/2 + 3/4) / 3."""
    labels = np.array([[1, 0], [0, 1], [1, 0]], np.uint8)
    probabilities = np.array([[0.9, 0.7], [0.1, 0.8], [0.6, 0.2]], np.float32)
    scores = multilabel_scores(labels, probabilities, np.full(2, 0.5, np.float32), "test")
    assert scores["test_average_precision_micro"] == pytest.approx((1 + 1 + 3 / 4) / 3)
