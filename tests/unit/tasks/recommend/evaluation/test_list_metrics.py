import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER
from tasks.recommend.evaluation.list_metrics import (
    RELEVANCE_METRICS,
    list_metrics,
    query_kind,
    scorer_table,
)
from tests.support.index_rows import TITLES, rows

#: Measured for every scorer, and for the recommender alone, whatever a source has to judge by.
POPULARITY = {
    *("popularity_lift", "top1_share", "top20_share", "top50_share", "coverage_at_10", "gini")
}
RECOMMENDER_ALONE = {"rec_genre_precision_at_10", "rec_intra_list_diversity_at_10"}
LISTS = np.array([[1, 2], [2, 3]])


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


def metrics_of(catalogue: Catalogue, **scores: list[float]) -> dict[str, float]:
    """Metrics of the recommender and of `tfidf`, which have equal lists and scores."""
    by_set = {name: np.array(values, np.float32) for name, values in scores.items()}
    scorers = (RECOMMENDER, "tfidf")
    return list_metrics(
        dict.fromkeys(scorers, by_set), dict.fromkeys(scorers, LISTS), [0, 1], catalogue
    )


def test_without_judgements_only_popularity_and_diversity_are_measured(catalogue):
    prefixes = ("rec", "rec_baseline_tfidf")
    expected = {f"{prefix}_{name}" for prefix in prefixes for name in POPULARITY}
    assert set(metrics_of(catalogue)) == expected | RECOMMENDER_ALONE


def test_a_judgement_has_a_mean_an_interval_and_its_number_of_queries(catalogue):
    metrics = metrics_of(catalogue, keyword_ndcg_at_10=[0.0, 1.0, 0.5])
    for name in ("rec_keyword_ndcg_at_10", "rec_baseline_tfidf_keyword_ndcg_at_10"):
        assert metrics[f"{name}_low"] <= metrics[name] == 0.5 <= metrics[f"{name}_high"]
    assert metrics["rec_queries_keyword"] == 3
    assert "rec_baseline_tfidf_queries_keyword" not in metrics


def test_popularity_is_that_of_the_lists(catalogue):
    """Four places: movie 2 takes two of them, and stands in both lists."""
    metrics = metrics_of(catalogue)
    assert (metrics["rec_top1_share"], metrics["rec_top20_share"]) == (1, 1)
    assert metrics["rec_coverage_at_10"] == 3 / len(TITLES)
    assert metrics["rec_popularity_lift"] == pytest.approx(1.5 / len(TITLES))


def test_keyword_relevance_is_the_headline():
    assert RELEVANCE_METRICS[0] == "keyword_ndcg_at_10"


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("keyword_ndcg_at_10", "keyword"),
        ("franchise_recall_at_10", "franchise"),
        ("colike_matched_auc", "colike"),
        ("known_item_recall_at_10", "known_item"),
    ],
)
def test_queries_are_counted_by_kind_of_judgement(metric, kind):
    assert query_kind(metric) == kind


def test_the_table_of_scorers_has_relevance_and_popularity(catalogue):
    metrics = metrics_of(catalogue, franchise_recall_at_10=[1.0, 1.0])
    table = scorer_table(metrics, [RECOMMENDER, "tfidf"]).to_pylist()
    assert [(row["scorer"], row["metric"]) for row in table] == [
        (scorer, metric)
        for scorer in (RECOMMENDER, "tfidf")
        for metric in ("franchise_recall_at_10", "top20_share", "popularity_lift")
    ]
    assert table[0] == {
        **{"scorer": RECOMMENDER, "metric": "franchise_recall_at_10"},
        **{"value": 1.0, "low": 1.0, "high": 1.0},
    }
    assert table[1]["low"] is None
