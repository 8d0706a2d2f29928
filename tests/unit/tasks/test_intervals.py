"""The intervals of all scores: 95% of them hold the truth, and those of differences are paired."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.genres import metrics
from tasks.genres.evaluation.evaluate import f1_intervals
from tasks.genres.metrics import Films, Labels, bootstrap_f1
from tasks.recommend.evaluation import ranking_metrics
from tasks.recommend.evaluation.relevance import USER_GROUPS
from tasks.recommend.scoring import Array
from tasks.registry.challenge import PairedPredictions, compare_genres, compare_lists
from tasks.registry.gate import Comparison, paired_comparison

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


def one_film_each(labels: Labels) -> Films:
    return np.arange(len(labels), dtype=np.int32)


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
        films = one_film_each(labels)
        micro, _ = compare_genres(PairedPredictions(labels, champion, challenger, films))
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


def contain(intervals: Sequence[tuple[float, float]], truth: float) -> list[bool]:
    return [low <= truth <= high for low, high in intervals]


def franchise_values(rng: np.random.Generator) -> tuple[Array, list[int]]:
    """Queries of sixty franchises of 1 to 7 movies, with a part of 0.5 in common, and clusters."""
    sizes = rng.integers(1, 8, size=60)
    clusters = np.repeat(np.arange(60), sizes)
    values = rng.normal(0.5, 0.2, 60)[clusters] + rng.normal(0, 0.1, sizes.sum())
    return values, clusters.tolist()


def test_95_percent_of_the_intervals_contain_the_true_mean_if_franchises_are_clusters():
    rng, by_cluster, by_query = np.random.default_rng(8), [], []
    for _ in range(REPETITIONS):
        values, clusters = franchise_values(rng)
        by_cluster.append(ranking_metrics.bootstrap_interval(values, clusters))
        by_query.append(ranking_metrics.bootstrap_interval(values))
    assert_is_about_95_percent(contain(by_cluster, 0.5))
    assert np.mean(contain(by_query, 0.5)) < 0.8


def test_95_percent_of_the_intervals_of_two_lists_contain_the_difference_by_franchise():
    rng, by_cluster, by_query = np.random.default_rng(9), [], []
    for _ in range(REPETITIONS):
        differences, clusters = franchise_values(rng)
        champion = rng.random(len(differences))
        for intervals, numbers in ((by_cluster, clusters), (by_query, [])):
            result = compare_lists("m", champion, champion + differences, numbers)
            intervals.append((result.low, result.high))
    assert_is_about_95_percent(contain(by_cluster, 0.5))
    assert np.mean(contain(by_query, 0.5)) < 0.8


def user_values(rng: np.random.Generator) -> Array:
    """Scores of 100 queries that depend on a sample of 100 users, and without each tenth of them.

    Each user shifts all queries alike.
    """
    users, queries = rng.normal(0, 0.5, 100), rng.normal(0.5, 0.3, 100)
    left = [np.delete(users, np.s_[group::USER_GROUPS]).mean() for group in range(USER_GROUPS)]
    return np.column_stack([queries + shift for shift in (users.mean(), *left)])


def test_95_percent_of_the_intervals_contain_the_true_mean_if_users_are_a_sample():
    rng, by_user, by_query = np.random.default_rng(10), [], []
    for _ in range(REPETITIONS):
        values = user_values(rng)
        by_user.append(ranking_metrics.bootstrap_interval(values))
        by_query.append(ranking_metrics.bootstrap_interval(values[:, 0]))
    assert_is_about_95_percent(contain(by_user, 0.5))
    assert np.mean(contain(by_query, 0.5)) < 0.8


def test_the_difference_of_lists_is_by_all_users_and_its_error_has_that_of_their_sample():
    """Without one of two groups of users, the difference is .1 or .3 higher: an error of .1."""
    champion = np.random.default_rng(13).random(50)
    challenger = np.random.default_rng(14).random(50)
    expected = compare_lists("m", champion, challenger)
    result = compare_lists(
        metric="m",
        champion=np.column_stack([champion] * 3),
        challenger=np.column_stack([challenger + shift for shift in (0, 0.1, 0.3)]),
    )
    assert result.champion == expected.champion
    assert result.challenger == expected.challenger
    assert result.error**2 == pytest.approx(expected.error**2 + 0.01)
    assert width(result) > width(expected)


def retold(rng: np.random.Generator) -> tuple[Labels, Labels, Films]:
    """Labels, predictions and films of sixty movies that each stand in the source five times."""
    labels = random_labels(rng)
    predictions, films = with_errors(labels, 0.2, rng), one_film_each(labels)
    return np.tile(labels, (5, 1)), np.tile(predictions, (5, 1)), np.tile(films, 5)


def test_95_percent_of_the_f1_intervals_contain_the_true_f1_if_films_are_retold():
    rng, by_film, by_movie = np.random.default_rng(11), [], []
    for _ in range(REPETITIONS):
        labels, predictions, films = retold(rng)
        for intervals, drawn in ((by_film, films), (by_movie, None)):
            samples = bootstrap_f1(labels, predictions, drawn)
            bounds = metrics.bootstrap_interval(samples["micro"], "f1")
            intervals.append((bounds["f1_low"], bounds["f1_high"]))
    assert_is_about_95_percent(contain(by_film, true_f1(0.2)))
    assert np.mean(contain(by_movie, true_f1(0.2))) < 0.8


def test_movies_of_a_film_are_drawn_together_and_all_count():
    """Film 4 is predicted in one of two movies, film 9 in its only one: F1 2/3, 4/5 or 1."""
    labels, predictions = np.ones((3, 1), np.uint8), np.array([[1], [1], [0]], np.uint8)
    samples = bootstrap_f1(labels, predictions, np.array([4, 9, 4], np.int32))
    for average in ("micro", "macro"):
        assert np.unique(samples[average]) == pytest.approx([2 / 3, 4 / 5, 1])


def test_retold_films_count_as_one_in_the_comparison_and_in_the_margin():
    """Five equal movies of each film know no more than one."""
    rng = np.random.default_rng(12)
    labels, champion, films = retold(rng)
    challenger = np.tile(with_errors(champion[:60], 0.1, rng), (5, 1))
    five = compare_genres(PairedPredictions(labels, champion, challenger, films))
    once = PairedPredictions(labels[:60], champion[:60], challenger[:60], films[:60])
    for comparison, expected in zip(five, compare_genres(once), strict=True):
        assert comparison.model_dump(exclude={"score"}) == pytest.approx(
            expected.model_dump(exclude={"score"})
        )
    margin = f1_intervals(labels, challenger, {"baseline_tfidf": champion}, films, "test")
    assert margin == pytest.approx(
        f1_intervals(
            labels[:60], challenger[:60], {"baseline_tfidf": champion[:60]}, films[:60], "test"
        )
    )


#: 1001 bootstrap values in even steps from 0 to 1.
EVEN_STEPS = np.linspace(0, 1, 1001)


def test_the_bounds_leave_out_two_and_a_half_percent_on_each_side():
    interval = metrics.bootstrap_interval(EVEN_STEPS, "f1")
    assert interval == pytest.approx({"f1_low": 0.025, "f1_high": 0.975})
    comparison = paired_comparison("f1", (0.5, 0.6), EVEN_STEPS, observations=1000)
    assert (comparison.low, comparison.high) == pytest.approx((0.025, 0.975))
    assert comparison.difference == pytest.approx(0.1)


def test_the_error_of_a_comparison_is_the_standard_deviation_of_its_samples():
    differences = np.repeat([0.1, 0.3], 50)
    comparison = paired_comparison("f1", (0.5, 0.6), differences, observations=1000)
    assert comparison.error == pytest.approx(0.1)


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
    others = {"baseline_tfidf": tfidf}
    intervals = f1_intervals(labels, predictions, others, one_film_each(labels), "test")
    for average in ("micro", "macro"):
        score, margin = (
            intervals[f"{name}_high"] - intervals[f"{name}_low"]
            for name in (f"test_f1_{average}", f"test_f1_{average}_over_tfidf")
        )
        assert 0 < margin < score / 3


def test_the_intervals_of_champion_and_challenger_are_paired():
    labels, champion, challenger = nearly_equal_models()
    films = one_film_each(labels)
    paired = compare_genres(PairedPredictions(labels, champion, challenger, films))
    alone = compare_genres(PairedPredictions(labels, champion, 1 - labels, films))
    assert len(paired) == len(alone) == 2
    for nearly_equal, unlike in zip(paired, alone, strict=True):
        assert 0 < width(nearly_equal) < width(unlike) / 2
    scores: NDArray[np.float64] = np.random.default_rng(6).random(30_000)
    noisy = scores + np.random.default_rng(7).normal(0, 0.02, len(scores))
    same_queries = compare_lists("m", scores, noisy)
    other_queries = compare_lists("m", scores, np.random.default_rng(5).permutation(noisy))
    assert 0 < width(same_queries) < width(other_queries) / 5


def test_equal_seeds_draw_equal_movies():
    """With errors, the F1 of a sample depends on the movies that are drawn."""
    labels, predictions, _ = nearly_equal_models()
    first, second, other = (bootstrap_f1(labels, predictions, seed=seed) for seed in (0, 0, 1))
    for average in ("micro", "macro"):
        assert np.array_equal(first[average], second[average])
        assert not np.array_equal(first[average], other[average])
