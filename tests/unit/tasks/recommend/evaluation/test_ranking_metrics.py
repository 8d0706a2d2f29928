import numpy as np
import pytest

from tasks.recommend.evaluation.ranking_metrics import (
    BOOTSTRAP_SAMPLES,
    bootstrap_interval,
    bootstrap_means,
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
    query_values,
    recall,
    top_share,
    vote_percentiles,
)
from tasks.recommend.scoring import Array

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


def test_matched_auc_is_the_share_of_pairs_in_the_right_order_of_each_relevant_movie():
    """Relevant 0.5 against 0.5 and 0.4 wins 1.5 pairs of two; 0.9 against 1 and 1 wins none."""
    relevant, matched = np.array([0.5, 0.9]), np.array([[0.5, 0.4], [1, 1]])
    assert matched_auc(relevant, matched).tolist() == [1.5 / 2, 0]


def test_matched_auc_of_equal_scores_is_one_half():
    assert matched_auc(np.ones(3), np.ones((3, 7))).tolist() == [0.5] * 3


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


def test_genre_precision_ignores_queries_and_hits_of_unknown_genre():
    """Of the known hits of the first query, one of two has its genre; the third is unknown."""
    genres = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.float32)
    lists = np.array([[1, 2, 3], [0, 2, 3]])
    assert genre_precision(lists, [0, 3], genres) == 1 / 2
    assert genre_precision(lists, [0, 0], genres) == 3 / 4


@pytest.mark.parametrize("query", [0, 1])
def test_genre_precision_is_missing_where_no_query_and_hit_have_known_genres(query):
    """A query of known genre with an unknown hit, and one of unknown genre with a known hit."""
    genres = np.array([[1, 0], [0, 0]], np.float32)
    assert np.isnan(genre_precision(np.array([[1 - query]]), [query], genres))


def test_the_bootstrap_interval_contains_the_mean():
    values = np.random.default_rng(0).random(200).astype(np.float32)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high


def test_equal_values_have_equal_intervals():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values) == bootstrap_interval(values.copy())


def test_the_seed_decides_which_queries_are_drawn():
    values = np.random.default_rng(0).random(50)
    samples = bootstrap_means(values)
    assert samples.shape == (BOOTSTRAP_SAMPLES,)
    assert np.array_equal(samples, bootstrap_means(values, seed=0))
    assert not np.array_equal(samples, bootstrap_means(values, seed=1))


def test_clusters_are_drawn_as_a_whole_and_count_by_their_size():
    """Samples have twice the cluster of three ones, twice that of a zero, or both: 3/4."""
    means = bootstrap_means(np.array([1, 0, 1, 1]), clusters=(-1, 5, -1, -1))
    assert set(means.tolist()) == {0, 3 / 4, 1}


def test_equal_queries_of_a_cluster_count_as_one():
    """Five equal queries in each of forty franchises know no more than forty queries."""
    values = np.random.default_rng(0).random(40)
    repeated, clusters = np.tile(values, 5), list(range(40)) * 5
    assert bootstrap_means(repeated, clusters) == pytest.approx(bootstrap_means(values))
    single = np.diff(bootstrap_interval(repeated))
    assert np.diff(bootstrap_interval(repeated, clusters)) == pytest.approx(
        np.sqrt(5) * single, rel=0.15
    )


def test_clusters_of_one_query_are_single_queries():
    values = np.random.default_rng(0).random(40)
    assert np.array_equal(bootstrap_means(values, range(100, 140)), bootstrap_means(values))


def with_replicates(values: Array, shifts: list[float]) -> Array:
    """Values, and in further columns those without each group of users, shifted by a constant."""
    return np.column_stack([values, *(values + shift for shift in shifts)])


def test_the_jackknife_over_groups_of_users_adds_to_the_variance():
    """Means .1 below and above that of all users: 3/4 of the sum of four squares of .1 is .03."""
    values = np.random.default_rng(0).random(50)
    samples = bootstrap_means(values)
    widened = bootstrap_means(with_replicates(values, [-0.1, 0.1, 0.1, -0.1]))
    assert widened.var() == pytest.approx(samples.var() + 0.03)


def test_the_jackknife_compares_the_replicates_with_their_own_mean():
    values = np.random.default_rng(0).random(50)
    around, above = (
        bootstrap_means(with_replicates(values, shifts)) for shifts in ([-0.1, 0.1], [0.3, 0.5])
    )
    assert above == pytest.approx(around)


def test_the_interval_is_widened_around_the_mean():
    values = np.random.default_rng(0).random(50)
    low, high = bootstrap_interval(values)
    wide_low, wide_high = bootstrap_interval(with_replicates(values, [-0.1, 0.1]))
    factor = (wide_high - wide_low) / (high - low)
    assert factor > 1.5
    assert wide_low - values.mean() == pytest.approx(factor * (low - values.mean()))
    assert wide_high - values.mean() == pytest.approx(factor * (high - values.mean()))


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_replicates_with_equal_means_leave_the_interval(shift):
    values = np.random.default_rng(0).random(50)
    widened = bootstrap_means(with_replicates(values, [shift] * 10))
    assert widened == pytest.approx(bootstrap_means(values))


def test_clusters_and_groups_of_users_both_widen_the_interval():
    values, clusters = np.random.default_rng(0).random(50), list(range(25)) * 2
    both = bootstrap_means(with_replicates(values, [-0.1, 0.1]), clusters)
    assert both.var() == pytest.approx(bootstrap_means(values, clusters).var() + 0.01)


def test_equal_scores_have_the_error_of_the_sample_of_users():
    """Means .4 and .6 without each group: 1/2 of the sum of two squares of .1."""
    replicates = with_replicates(np.full(50, 0.5), [-0.1, 0.1])
    assert bootstrap_means(replicates).std() == pytest.approx(0.1, rel=0.1)


def test_a_metric_has_its_mean_and_the_bounds_of_its_interval():
    values = np.array([0.0, 1.0] * 50)
    low, high = bootstrap_interval(values)
    assert 0.3 < low < 0.5 < high < 0.7
    assert mean_with_interval(values, "m") == {"m": 0.5, "m_low": low, "m_high": high}


def test_the_mean_of_a_metric_is_by_all_users_and_its_interval_by_clusters_and_groups():
    values, clusters = np.array([0.0, 1.0] * 50), [row // 10 for row in range(100)]
    replicates = with_replicates(values, [0.1, 0.3])
    low, high = bootstrap_interval(replicates, clusters)
    metric = mean_with_interval(replicates, "m", clusters)
    assert metric == {"m": 0.5, "m_low": low, "m_high": high}


def test_the_score_of_a_query_is_by_all_users():
    values = np.array([0.0, 0.5, 1.0])
    assert query_values(values).tolist() == [0, 0.5, 1]
    assert query_values(with_replicates(values, [0.1, 0.2])).tolist() == [0, 0.5, 1]


def test_no_values_have_no_mean():
    assert mean_with_interval(np.empty(0, np.float32), "recall") == {}
    assert mean_with_interval(np.empty((0, 11), np.float32), "recall") == {}
