import numpy as np
import pytest

from tasks.recommend.evaluation.ranking_metrics import (
    bootstrap_interval,
    coverage,
    genre_precision,
    intra_list_diversity,
    mean_with_interval,
    ndcg_at,
    recall_at,
)

LISTS = np.array([[0, 1], [1, -1]])


def test_recall_is_the_share_of_relevant_movies_in_the_list():
    lists = np.array([[1, 2, 3], [4, 5, -1]])
    assert recall_at(lists, [np.array([2, 9]), np.array([6])]).tolist() == [0.5, 0]


def test_ndcg_discounts_a_hit_by_its_position():
    lists = np.array([[1, 2], [2, 1], [3, 4], [1, 2]])
    relevant = [np.array([1])] * 3 + [np.array([1, 2])]
    assert ndcg_at(lists, relevant).tolist() == pytest.approx([1, 1 / np.log2(3), 0, 1])


def test_coverage_is_the_share_of_movies_in_any_list():
    assert coverage(LISTS, n_movies=4) == 0.5


def test_diversity_is_the_mean_of_one_minus_cosine():
    content = np.array([[1, 0], [0, 1]], np.float32)
    assert intra_list_diversity(LISTS, content) == 1


def test_genre_precision_is_the_share_of_movies_with_a_genre_of_the_query():
    genres = np.array([[1, 0], [0, 1]], np.float32)
    assert genre_precision(LISTS, [0, 1], genres) == pytest.approx(2 / 3)


def test_the_bootstrap_interval_contains_the_mean():
    values = np.random.default_rng(0).random(200).astype(np.float32)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high


def test_no_values_have_no_mean():
    assert mean_with_interval(np.empty(0, np.float32), "recall") == {}
