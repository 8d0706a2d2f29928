import numpy as np
import pytest

from tasks.recommend.evaluation.ranking_metrics import (
    bootstrap_interval,
    coverage,
    genre_precision,
    gini,
    graded_ndcg,
    intra_list_diversity,
    matched_auc,
    mean_with_interval,
    most_frequent_share,
    ndcg,
    popularity_lift,
    recall,
    top_share,
    vote_percentiles,
)

LISTS = np.array([[0, 1], [1, -1]])


def test_recall_is_the_share_of_relevant_movies_in_the_list():
    assert recall([1, 2, 3], np.array([2, 9])) == 0.5
    assert recall([], np.array([6])) == 0


@pytest.mark.parametrize(
    ("hits", "relevant", "expected"),
    [([1, 2], [1], 1), ([2, 1], [1], 1 / np.log2(3)), ([3, 4], [1], 0), ([1, 2], [1, 2], 1)],
)
def test_ndcg_discounts_a_hit_by_its_position(hits, relevant, expected):
    assert ndcg(hits, np.array(relevant)) == pytest.approx(expected)


def test_graded_ndcg_is_the_gain_over_that_of_the_best_order():
    """Ranked gains 0, 0.5 and 1; the best order is 1, 0.5 and 0."""
    scores, gains = np.array([3, 1, 2], np.float32), np.array([0, 1, 0.5], np.float32)
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    assert graded_ndcg(scores, gains) == pytest.approx(
        (0.5 * second + 1 * third) / (1 + 0.5 * second)
    )
    assert graded_ndcg(gains, gains) == 1


def test_graded_ndcg_sees_ten_places():
    scores = -np.arange(12, dtype=np.float32)
    for place, expected in ((9, 1 / np.log2(11)), (10, 0)):
        gains = np.eye(1, 12, place, dtype=np.float32)[0]
        assert graded_ndcg(scores, gains) == pytest.approx(expected)


def test_graded_ndcg_orders_equal_scores_by_position():
    """Of two scores in turn, the first ten places are those of odd positions up to 19."""
    scores = np.arange(60, dtype=np.float32) % 2
    inside, outside = np.eye(1, 60, 19)[0], np.eye(1, 60, 21)[0]
    assert graded_ndcg(scores, inside) == pytest.approx(1 / np.log2(11))
    assert graded_ndcg(scores, outside) == 0


def test_graded_ndcg_without_a_relevant_movie_is_zero():
    assert graded_ndcg(np.ones(3, np.float32), np.zeros(3, np.float32)) == 0


def test_matched_auc_is_the_share_of_pairs_in_the_right_order():
    """Relevant 0.5 against 0.5 and 0.4 wins 1.5 pairs; 0.9 against 1 and 1 wins none."""
    relevant, matched = np.array([0.5, 0.9]), np.array([[0.5, 0.4], [1, 1]])
    assert matched_auc(relevant, matched) == 1.5 / 4


def test_matched_auc_of_equal_scores_is_one_half():
    assert matched_auc(np.ones(3), np.ones((3, 7))) == 0.5


def test_coverage_is_the_share_of_movies_in_any_list():
    assert coverage(LISTS, n_movies=4) == 0.5


def test_top_share_is_the_share_of_places_of_the_most_frequent_movies():
    lists = np.array([[0, 1], [0, 2], [0, -1]])
    assert top_share(lists, 1) == 3 / 5
    assert top_share(lists, 2) == 4 / 5
    assert top_share(lists, 20) == 1


def test_the_most_frequent_movie_is_counted_in_lists_not_in_places():
    assert most_frequent_share(np.array([[0, 1], [0, 2], [3, -1]])) == 2 / 3


@pytest.mark.parametrize(
    ("lists", "expected"),
    [([[0, 1], [2, 3]], 0), ([[0, -1]] * 4, 3 / 4), ([[0, 1], [0, 1]], 1 / 2)],
)
def test_gini_is_zero_for_equal_counts_and_grows_with_their_inequality(lists, expected):
    """Of four movies: all equally often; always the same; the same two."""
    assert gini(np.array(lists), n_movies=4) == pytest.approx(expected)


def test_movies_with_equal_votes_share_a_percentile():
    assert vote_percentiles(np.array([0, 0, 5])) == pytest.approx([1 / 3, 1 / 3, 5 / 6])


def test_popularity_lift_is_the_percentile_of_answers_minus_the_query_s():
    """Percentiles 1/8, 3/8, 5/8, 7/8: a lift of 1/2, one of -3/4, and a list without movies."""
    votes = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    lists = np.array([[3, 1], [0, -1], [-1, -1]])
    assert popularity_lift(lists, [0, 3, 1], votes) == pytest.approx((1 / 2 - 3 / 4) / 2)


def test_diversity_is_the_mean_of_one_minus_cosine():
    content = np.array([[1, 0], [0, 1]], np.float32)
    assert intra_list_diversity(LISTS, content) == 1


def test_diversity_counts_each_pair_of_a_list_and_each_list_of_two_or_more():
    """Cosines 1, 0 and 0 of the first list's pairs: 2/3. The second has the cosine 0.6: 0.4."""
    content = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], np.float32)
    lists = np.array([[0, 1, 2], [0, 3, -1], [2, -1, -1]])
    assert intra_list_diversity(lists, content) == pytest.approx((2 / 3 + 0.4) / 2)
    assert intra_list_diversity(lists[2:], content) == 0


def test_genre_precision_is_the_share_of_movies_with_a_genre_of_the_query():
    genres = np.array([[1, 0], [0, 1]], np.float32)
    assert genre_precision(LISTS, [0, 1], genres) == pytest.approx(2 / 3)


def test_the_bootstrap_interval_contains_the_mean():
    values = np.random.default_rng(0).random(200).astype(np.float32)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high


def test_equal_values_have_equal_intervals():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values) == bootstrap_interval(values, seed=0)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_a_metric_has_its_mean_and_the_bounds_of_its_interval():
    values = np.array([0.0, 1.0] * 50)
    low, high = bootstrap_interval(values)
    assert 0.3 < low < 0.5 < high < 0.7
    assert mean_with_interval(values, "m") == {"m": 0.5, "m_low": low, "m_high": high}


def test_no_values_have_no_mean():
    assert mean_with_interval(np.empty(0, np.float32), "recall") == {}
