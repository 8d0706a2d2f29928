import re

import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    baseline_scorers,
    ranked_lists,
    recommender_scorer,
)
from tasks.recommend.evaluation.list_evaluation import (
    QuerySet,
    coverage_queries,
    list_scores,
    lists_for_recall_curve,
    recall_by_k,
    recommender_scores,
    sample_lists,
    split_queries,
    votes_curve,
)
from tasks.recommend.evaluation.ranking_metrics import (
    bootstrap_interval,
    coverage,
    genre_precision,
    intra_list_diversity,
    ndcg_at,
    recall_at,
)
from tasks.recommend.scoring import RankConfig
from tests.index_rows import TITLES, rows

CONFIG = RankConfig()


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


def test_recall_is_the_share_of_relevant_movies_that_are_listed():
    lists = np.array([[1, 2, 3], [4, 5, -1]])
    assert recall_at(lists, [np.array([2, 9]), np.array([6])]).tolist() == [0.5, 0]


def test_ndcg_counts_a_hit_less_the_later_it_comes():
    lists = np.array([[1, 2], [2, 1], [3, 4], [1, 2]])
    relevant = [np.array([1])] * 3 + [np.array([1, 2])]
    assert ndcg_at(lists, relevant).tolist() == pytest.approx([1, 1 / np.log2(3), 0, 1])


def test_lists_are_those_that_a_reader_gets(catalogue):
    lists = ranked_lists(catalogue, [0, 3], recommender_scorer(catalogue, CONFIG), k=5)
    for row, listed in zip([0, 3], lists, strict=True):
        hits = catalogue.rank(catalogue.features_of([row]), [row], 5, CONFIG)
        assert [hit.row for hit in hits] == listed.tolist()


def test_short_lists_are_filled_up(catalogue):
    lists = ranked_lists(catalogue, [0], recommender_scorer(catalogue, CONFIG), k=30)
    assert (lists[0, len(TITLES) - 1 :] == -1).all()
    assert (lists[0, : len(TITLES) - 1] >= 0).all()


def test_coverage_diversity_and_genres_of_lists():
    lists = np.array([[0, 1], [1, -1]])
    content = np.array([[1, 0], [0, 1]], np.float32)
    genres = np.array([[1, 0], [0, 1]], np.float32)
    assert coverage(lists, 4) == 0.5
    assert intra_list_diversity(lists, content) == 1
    assert genre_precision(lists, [0, 1], genres) == pytest.approx(2 / 3)


def test_queries_fall_into_halves(catalogue):
    rows_ = list(range(len(TITLES)))
    one, other = (split_queries(catalogue, rows_, wanted) for wanted in (True, False))
    assert sorted(one + other) == rows_
    assert one
    assert other


def test_an_interval_holds_the_mean():
    values = np.random.default_rng(0).random(200).astype(np.float32)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high


def test_chance_draws_the_same_again(catalogue):
    first, again = (
        baseline_scorers(catalogue.features, catalogue.items)["random"]([2, 3]) for _ in range(2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_everything_is_scored_beside_its_baselines(catalogue):
    relevant = {row: np.array([(row + 1) % len(TITLES)]) for row in range(len(TITLES))}
    kinds = [QuerySet("franchise_recall_at_10", relevant)]
    own, deep = (
        recommender_scores(catalogue, kinds, CONFIG),
        lists_for_recall_curve(catalogue, kinds, CONFIG),
    )
    found = list_scores(catalogue, kinds, CONFIG, own, deep)
    name = "rec_franchise_recall_at_10"
    assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    for baseline in ("tfidf", "tfidf_genre", "genre", "random"):
        assert 0 <= found[f"rec_baseline_{baseline}_franchise_recall_at_10"] <= 1
    curve = votes_curve(catalogue, kinds, CONFIG)
    assert CONFIG.votes in curve["votes"]
    at = curve["votes"].index(CONFIG.votes)
    assert curve["franchise_recall_at_10"][at] == pytest.approx(found[name])
    assert all(np.isfinite(value) for value in found.values())


def test_recall_grows_with_the_length_of_the_list_and_is_the_headline_s_at_ten(catalogue):
    relevant = {row: np.array([(row + 1) % len(TITLES)]) for row in range(len(TITLES))}
    kinds = [QuerySet("franchise_recall_at_10", relevant)]
    deep = lists_for_recall_curve(catalogue, kinds, CONFIG)
    table = recall_by_k(catalogue, kinds, deep).to_pylist()
    scores = list_scores(
        catalogue, kinds, CONFIG, recommender_scores(catalogue, kinds, CONFIG), deep
    )
    for method in ("ours", "tfidf", "genre", "random"):
        values = [row["recall"] for row in table if row["method"] == method]
        assert values == sorted(values)
        prefix = "rec_" if method == "ours" else f"rec_baseline_{method}_"
        assert values[3] == pytest.approx(scores[f"{prefix}franchise_recall_at_10"])
    assert recall_by_k(catalogue, [], {}).num_rows == 0


def test_a_catalogue_without_relevance_is_scored_on_what_there_is(catalogue):
    found = list_scores(catalogue, [], CONFIG, {}, {})
    assert set(found) == {
        "rec_genre_precision_at_10",
        "rec_coverage_at_10",
        "rec_intra_list_diversity_at_10",
    }
    assert len(coverage_queries(catalogue)) == len(TITLES)


def test_sample_lists_are_of_the_films_that_are_there(catalogue):
    found = sample_lists(catalogue, CONFIG)
    assert found["film"].to_pylist() == ["Toy Story", "Alien", "Amélie"]
    assert len(re.findall(r"\(\d{4}\)", found["movies like it"][0].as_py())) == 10
