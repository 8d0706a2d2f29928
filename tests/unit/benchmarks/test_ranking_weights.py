"""Ranking weights are chosen on one half of the queries; the other half is only reported."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ranking_weights
from benchmarks.ranking_weights import (
    choose_text_weights,
    choosing_half,
    choosing_scores,
    every_kth,
    random_walk,
    shown_weights,
)
from benchmarks.recommenders import Trained
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import QuerySet
from tasks.recommend.evaluation.ranking_metrics import recall
from tasks.recommend.evaluation.relevance import Half, half_of
from tasks.recommend.evaluation.relevance_scores import KnownItem
from tasks.recommend.scoring import Array, RankConfig
from tests.support.index_rows import rows
from tests.support.text_models import WordModel

MOVIES = 60
REPORTED = {row for row in range(MOVIES) if half_of(f"m/{row + 1}") == "reported"}
CHOOSING = set(range(MOVIES)) - REPORTED
HALVES: dict[Half, set[int]] = {"choosing": CHOOSING, "reported": REPORTED}
METRICS = ("keyword_ndcg_at_10", "franchise_recall_at_10", "colike_matched_auc")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(rows([f"Film {row}" for row in range(MOVIES)]))


def query_set(name: str, queries: Collection[int], changed: Collection[int]) -> QuerySet:
    """Movies of about the same year are relevant; to a changed query, those with most votes."""

    def metric(row: int, scores: Array, hits: Sequence[int]) -> float:
        relevant = range(MOVIES - 10, MOVIES) if row in changed else range(row - 3, row + 4)
        return recall(hits, np.array(relevant))

    return QuerySet(name, sorted(queries), metric)


def known_items(catalogue: Catalogue, answerable: Collection[int]) -> dict[Half, list[KnownItem]]:
    """Texts that ask for reported movies found by content, and for choosing ones found by votes.

    The text of an item that is not answerable has no known word.
    """
    by_content = np.argsort(-catalogue.features.content[:, 0]).tolist()
    by_votes = reversed(range(MOVIES))
    reported = [row for row in by_content if row in REPORTED][:5]
    choosing = [row for row in by_votes if row in CHOOSING][:3]
    return {
        half: [KnownItem("story" if row in answerable else "unknown", row) for row in asked]
        for half, asked in (("choosing", choosing), ("reported", reported))
    }


def recommender(
    catalogue: Catalogue, changed: Collection[int] = (), answerable: Collection[int] = ()
) -> Trained:
    return Trained(
        path=Path("movies.csv"),
        catalogue=catalogue,
        model=WordModel(),
        query_sets={
            half: [query_set(name, queries, changed) for name in METRICS]
            for half, queries in HALVES.items()
        },
        known_items=known_items(catalogue, answerable),
        halves=["reported" if row in REPORTED else "choosing" for row in range(MOVIES)],
    )


@pytest.fixture
def few_steps(monkeypatch) -> None:
    monkeypatch.setattr(ranking_weights, "STEPS", 8)


def walk(recommender: Trained) -> str:
    return shown_weights(random_walk([choosing_half(recommender)], RankConfig()))


@pytest.mark.usefixtures("few_steps")
def test_judgements_of_reported_queries_do_not_change_the_chosen_weights(catalogue):
    chosen = walk(recommender(catalogue))
    assert walk(recommender(catalogue, changed=REPORTED)) == chosen
    assert walk(recommender(catalogue, changed=CHOOSING)) != chosen


def test_reported_questions_do_not_change_the_chosen_text_weights(catalogue):
    chosen = choose_text_weights([recommender(catalogue, answerable=CHOOSING)])
    every = REPORTED | CHOOSING
    assert choose_text_weights([recommender(catalogue, answerable=every)]) == chosen
    assert choose_text_weights([recommender(catalogue, answerable=REPORTED)]) != chosen


def test_popularity_bias_is_limited_on_the_choosing_half(catalogue):
    half = choosing_half(recommender(catalogue))
    assert set(half.bias.query_set.rows) == CHOOSING
    assert all(set(features.query_set.rows) == CHOOSING for features in half.sets)


def test_a_metric_of_several_values_counts_by_all_users(catalogue):
    """The first value is that by all users; the others are those without a group of them."""

    def metric(row: int, scores: Array, hits: Sequence[int]) -> Array:
        return np.array([0.25, np.nan, 1.0])

    queries = QuerySet("colike_matched_auc", sorted(CHOOSING), metric, needs_list=False)
    trained = recommender(catalogue)._replace(query_sets={"choosing": [queries], "reported": []})
    assert choosing_scores(choosing_half(trained), RankConfig())["colike_matched_auc"] == 0.25


def test_weights_are_chosen_on_an_even_sample_of_the_queries(catalogue, monkeypatch):
    monkeypatch.setattr(ranking_weights, "CHOOSING_QUERIES", 7)
    monkeypatch.setattr(ranking_weights, "BIAS_QUERIES", 5)
    half = choosing_half(recommender(catalogue))
    expected = every_kth(sorted(CHOOSING), 7)
    assert [features.query_set.rows for features in half.sets] == [expected] * len(METRICS)
    assert half.bias.query_set.rows == every_kth(sorted(CHOOSING), 5)
