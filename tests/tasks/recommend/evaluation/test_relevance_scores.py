import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import QuerySet
from tasks.recommend.evaluation.relevance_scores import (
    list_scores,
    lists_for_recall_curve,
    recall_by_k,
    recommender_scores,
)
from tasks.recommend.evaluation.votes_curve import votes_curve
from tasks.recommend.scoring import RankConfig
from tests.index_rows import TITLES, rows

CONFIG = RankConfig()
NAME = "franchise_recall_at_10"
BASELINES = ("tfidf", "tfidf_genre", "genre", "random")


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


def next_movie_is_relevant() -> list[QuerySet]:
    relevant = {row: np.array([(row + 1) % len(TITLES)]) for row in range(len(TITLES))}
    return [QuerySet(NAME, relevant)]


def all_metrics(catalogue: Catalogue, query_sets: list[QuerySet]) -> dict[str, float]:
    scores = recommender_scores(catalogue, query_sets, CONFIG)
    lists_by_method = lists_for_recall_curve(catalogue, query_sets, CONFIG)
    return list_scores(catalogue, query_sets, CONFIG, scores, lists_by_method)


def test_recommender_and_baselines_are_scored_with_intervals(catalogue):
    metrics = all_metrics(catalogue, next_movie_is_relevant())
    assert metrics[f"rec_{NAME}_low"] <= metrics[f"rec_{NAME}"] <= metrics[f"rec_{NAME}_high"]
    for baseline in BASELINES:
        assert 0 <= metrics[f"rec_baseline_{baseline}_{NAME}"] <= 1
    assert all(np.isfinite(value) for value in metrics.values())


def test_the_votes_curve_contains_the_score_at_the_configured_weight(catalogue):
    query_sets = next_movie_is_relevant()
    curve = votes_curve(catalogue, query_sets, CONFIG)
    position = curve["votes"].index(CONFIG.votes)
    expected = all_metrics(catalogue, query_sets)[f"rec_{NAME}"]
    assert curve[NAME][position] == pytest.approx(expected)


@pytest.mark.parametrize("method", ["ours", *BASELINES])
def test_recall_grows_with_the_list_and_equals_the_metric_at_ten(catalogue, method):
    query_sets = next_movie_is_relevant()
    lists_by_method = lists_for_recall_curve(catalogue, query_sets, CONFIG)
    table = recall_by_k(catalogue, query_sets, lists_by_method).to_pylist()
    recalls = {row["k"]: row["recall"] for row in table if row["method"] == method}
    assert list(recalls.values()) == sorted(recalls.values())
    prefix = "rec_" if method == "ours" else f"rec_baseline_{method}_"
    assert recalls[10] == pytest.approx(all_metrics(catalogue, query_sets)[f"{prefix}{NAME}"])


def test_no_query_sets_have_no_recall_curve(catalogue):
    assert recall_by_k(catalogue, [], {}).num_rows == 0


def test_a_catalogue_without_query_sets_has_metrics_that_need_no_relevance(catalogue):
    assert set(all_metrics(catalogue, [])) == {
        "rec_genre_precision_at_10",
        "rec_coverage_at_10",
        "rec_intra_list_diversity_at_10",
    }
