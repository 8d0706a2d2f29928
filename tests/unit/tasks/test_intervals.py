"""The intervals of all scores: 95% of them hold the truth, and those of differences are paired."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.genres import metrics
from tasks.genres.evaluation import f1_intervals
from tasks.genres.metrics import Labels, bootstrap_f1
from tasks.recommend.evaluation import ranking_metrics
from tasks.registry.challenge import (
    Comparison,
    PairedPredictions,
    compare_genres,
    compare_lists,
    paired_comparison,
)

REPETITIONS = 200
TRUE_SHARE = 0.3  # of positive labels


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """Enough to find the bounds of an interval, in a fraction of the time."""
    for module in (metrics, ranking_metrics):
        monkeypatch.setattr(module, "BOOTSTRAP_SAMPLES", 100)


def random_labels(rng: np.random.Generator, movies: int = 60) -> Labels:
    return (rng.random((movies, 3)) < TRUE_SHARE).astype(np.uint8)


def with_errors(labels: Labels, share: float, rng: np.random.Generator) -> Labels:
    """The labels with a share of them wrong."""
    return np.where(rng.random(labels.shape) < share, 1 - labels, labels).astype(np.uint8)


def true_f1(error: float) -> float:
    """F1 of predictions of which a share is wrong, whatever the label."""
    hits = TRUE_SHARE * (1 - error)
    predicted = hits + (1 - TRUE_SHARE) * error
    return 2 * hits / (predicted + TRUE_SHARE)


def assert_is_about_95_percent(contains_truth: list[bool]) -> None:
    """Of 200 repetitions, with room for the error of so few and for small samples."""
    assert len(contains_truth) == REPETITIONS
    assert 0.9 <= np.mean(contains_truth) <= 0.98


def test_95_percent_of_the_f1_intervals_contain_the_true_f1():
    rng, truth, contains_truth = np.random.default_rng(0), true_f1(0.2), []
    for _ in range(REPETITIONS):
        labels = random_labels(rng)
        samples = bootstrap_f1(labels, with_errors(labels, 0.2, rng))
        bounds = metrics.bootstrap_interval(samples["micro"], "f1")
        contains_truth.append(bounds["f1_low"] <= truth <= bounds["f1_high"])
    assert_is_about_95_percent(contains_truth)


def test_95_percent_of_the_intervals_of_two_models_contain_the_true_difference():
    """The challenger makes fewer errors than the champion, independently of it."""
    rng, truth, contains_truth = np.random.default_rng(1), true_f1(0.1) - true_f1(0.2), []
    for _ in range(REPETITIONS):
        labels = random_labels(rng)
        champion, challenger = (with_errors(labels, share, rng) for share in (0.2, 0.1))
        micro, _ = compare_genres(PairedPredictions(labels, champion, challenger))
        contains_truth.append(micro.low <= truth <= micro.high)
    assert_is_about_95_percent(contains_truth)


def test_95_percent_of_the_intervals_of_list_scores_contain_the_true_mean():
    rng, contains_truth = np.random.default_rng(2), []
    for _ in range(REPETITIONS):
        low, high = ranking_metrics.bootstrap_interval(rng.random(100))
        contains_truth.append(low <= 0.5 <= high)
    assert_is_about_95_percent(contains_truth)


def test_95_percent_of_the_intervals_of_two_lists_contain_the_true_difference():
    rng, contains_truth = np.random.default_rng(3), []
    for _ in range(REPETITIONS):
        champion = rng.random(100)
        result = compare_lists("m", champion, champion + rng.normal(0.1, 0.3, 100))
        contains_truth.append(result.low <= 0.1 <= result.high)
    assert_is_about_95_percent(contains_truth)


#: 1001 bootstrap values in even steps from 0 to 1.
EVEN_STEPS = np.linspace(0, 1, 1001)


def test_the_bounds_leave_out_two_and_a_half_percent_on_each_side():
    interval = metrics.bootstrap_interval(EVEN_STEPS, "f1")
    assert interval == pytest.approx({"f1_low": 0.025, "f1_high": 0.975})
    comparison = paired_comparison("f1", 0.5, 0.6, EVEN_STEPS)
    assert (comparison.low, comparison.high) == pytest.approx((0.025, 0.975))
    assert comparison.difference == pytest.approx(0.1)


def width(comparison: Comparison) -> float:
    return comparison.high - comparison.low


def nearly_equal_models() -> tuple[Labels, Labels, Labels]:
    """Labels of 300 movies, and two predictions with the same errors but for a few."""
    rng = np.random.default_rng(4)
    labels = random_labels(rng, movies=300)
    predictions = with_errors(labels, 0.2, rng)
    return labels, predictions, with_errors(predictions, 0.01, rng)


def test_the_interval_of_the_margin_over_tfidf_is_paired():
    """Movies that are hard for both add no noise; drawn separately it would be wider than both."""
    labels, predictions, tfidf = nearly_equal_models()
    intervals = f1_intervals(labels, predictions, tfidf, "test")
    for average in ("micro", "macro"):
        score, margin = (
            intervals[f"{name}_high"] - intervals[f"{name}_low"]
            for name in (f"test_f1_{average}", f"test_f1_{average}_over_tfidf")
        )
        assert 0 < margin < score / 3


def test_the_intervals_of_champion_and_challenger_are_paired():
    labels, champion, challenger = nearly_equal_models()
    shuffled = np.random.default_rng(5).permutation(len(labels))
    paired = compare_genres(PairedPredictions(labels, champion, challenger))
    alone = compare_genres(PairedPredictions(labels, champion, 1 - labels))
    assert len(paired) == len(alone) == 2
    for nearly_equal, unlike in zip(paired, alone, strict=True):
        assert 0 < width(nearly_equal) < width(unlike) / 2
    scores: NDArray[np.float64] = np.random.default_rng(6).random(300)
    noisy = scores + np.random.default_rng(7).normal(0, 0.02, 300)
    same_queries = compare_lists("m", scores, noisy)
    other_queries = compare_lists("m", scores, noisy[shuffled])
    assert 0 < width(same_queries) < width(other_queries) / 5


def test_equal_seeds_draw_equal_movies():
    """With errors, the F1 of a sample depends on the movies that are drawn."""
    labels, predictions, _ = nearly_equal_models()
    first, second, other = (bootstrap_f1(labels, predictions, seed) for seed in (0, 0, 1))
    for average in ("micro", "macro"):
        assert np.array_equal(first[average], second[average])
        assert not np.array_equal(first[average], other[average])
