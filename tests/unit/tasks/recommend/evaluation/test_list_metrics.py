from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER
from tasks.recommend.evaluation.list_metrics import (
    RELEVANCE_METRICS,
    SCORER_SCHEMA,
    list_metrics,
    popularity_metrics,
    query_kind,
    scorer_table,
)
from tasks.recommend.evaluation.ranking_metrics import (
    Lists,
    bootstrap_interval,
    intra_list_diversity,
)
from tasks.recommend.scoring import Array
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


def metrics_of(
    catalogue: Catalogue,
    clusters: Mapping[str, Sequence[int]] | None = None,
    lists: Lists = LISTS,
    **scores: list[float] | Array,
) -> dict[str, float]:
    """Metrics of the recommender and of `tfidf`, which have equal lists and scores."""
    by_set = {name: np.array(values, np.float32) for name, values in scores.items()}
    scorers = (RECOMMENDER, "tfidf")
    return list_metrics(
        query_scores=dict.fromkeys(scorers, by_set),
        clusters=clusters or {},
        lists=dict.fromkeys(scorers, lists),
        queries=[0, 1],
        catalogue=catalogue,
    )


def with_genres(genres: Sequence[Sequence[str]]) -> Catalogue:
    return Catalogue(rows(TITLES[: len(genres)], genres=genres))


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


def test_intervals_are_by_the_clusters_of_the_set(catalogue):
    """Ten queries of two franchises; another set has none."""
    values, clusters = np.repeat([0.0, 1.0], 5), np.repeat([0, 1], 5).tolist()
    metrics = metrics_of(
        catalogue,
        clusters={"franchise_recall_at_10": clusters},
        franchise_recall_at_10=values,
        known_item_recall_at_10=values,
    )
    for prefix in ("rec", "rec_baseline_tfidf"):
        for name, numbers in (("franchise", clusters), ("known_item", ())):
            metric = f"{prefix}_{name}_recall_at_10"
            bounds = (metrics[f"{metric}_low"], metrics[f"{metric}_high"])
            assert bounds == bootstrap_interval(values, numbers)


def test_the_mean_and_number_of_queries_do_not_count_groups_of_users(catalogue):
    """Three queries, and their scores without two groups of users."""
    values = np.array([[0, 0.9, 0.3], [1, 0.9, 0.3], [0.5, 0.9, 0.3]], np.float32)
    metrics = metrics_of(catalogue, colike_ndcg_at_10=values)
    assert metrics["rec_colike_ndcg_at_10"] == 0.5
    assert metrics["rec_queries_colike"] == 3
    bounds = (metrics["rec_colike_ndcg_at_10_low"], metrics["rec_colike_ndcg_at_10_high"])
    assert bounds == bootstrap_interval(values)


def test_popularity_is_that_of_the_lists(catalogue):
    """Four places: movie 2 takes two of them, and stands in both lists."""
    metrics = metrics_of(catalogue)
    assert (metrics["rec_top1_share"], metrics["rec_top20_share"]) == (1, 1)
    assert metrics["rec_coverage_at_10"] == 3 / len(TITLES)
    assert metrics["rec_popularity_lift"] == pytest.approx(1.5 / len(TITLES))


def test_shares_are_those_of_the_twenty_and_fifty_most_frequent_movies():
    """Six lists hold sixty movies once each."""
    catalogue = Catalogue(rows([f"Film {number}" for number in range(80)]))
    metrics = popularity_metrics(np.arange(60).reshape(6, 10), [0] * 6, catalogue)
    shares = [metrics[name] for name in ("top1_share", "top20_share", "top50_share")]
    assert shares == pytest.approx([1 / 6, 20 / 60, 50 / 60])
    assert metrics["coverage_at_10"] == 60 / 80


def test_equally_popular_movies_have_no_lift():
    table = rows(TITLES)
    votes = np.full(len(TITLES), 0.5, np.float32)
    table = table.set_column(table.column_names.index("votes"), "votes", [votes])
    assert set(popularity_metrics(LISTS, [0, 1], Catalogue(table))) == POPULARITY - {
        "popularity_lift"
    }


def test_genre_precision_and_diversity_are_those_of_the_recommended_movies(catalogue):
    """Movies are Horror and War in turn: of each list one movie has the genre of its query."""
    metrics = metrics_of(catalogue)
    assert metrics["rec_genre_precision_at_10"] == 0.5
    assert metrics["rec_intra_list_diversity_at_10"] == pytest.approx(
        intra_list_diversity(LISTS, catalogue.features.content)
    )


def test_genre_precision_is_by_the_known_genres_of_the_catalogue():
    """The first query shares a genre with one of two known hits; the second has no genre."""
    catalogue = with_genres([["War"], [], ["Horror"], ["Drama", "War"]])
    metrics = metrics_of(catalogue, lists=np.array([[2, 3], [2, 3]]))
    assert metrics["rec_genre_precision_at_10"] == 0.5
    metrics = metrics_of(catalogue, lists=np.array([[1, 3], [2, 3]]))
    assert metrics["rec_genre_precision_at_10"] == 1


@pytest.mark.parametrize("genres", [[[]] * 4, [[], [], ["War"], ["War"]]])
def test_genre_precision_is_missing_where_no_query_has_a_known_genre(genres):
    assert "rec_genre_precision_at_10" not in metrics_of(with_genres(genres))


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


def test_each_scorer_has_its_own_values_in_the_table():
    metrics = {"rec_top20_share": 0.5, "rec_baseline_tfidf_top20_share": 0.7}
    table = scorer_table(metrics, [RECOMMENDER, "tfidf"])
    assert table.schema == SCORER_SCHEMA
    assert table["value"].to_pylist() == [0.5, 0.7]
    assert scorer_table({}, [RECOMMENDER]).schema == SCORER_SCHEMA
