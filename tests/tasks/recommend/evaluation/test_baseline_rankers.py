import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    baseline_scorers,
    ranked_lists,
    recommender_scorer,
)
from tasks.recommend.scoring import RankConfig
from tests.index_rows import TITLES, rows

CONFIG = RankConfig()


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


def test_evaluated_lists_equal_those_that_a_reader_gets(catalogue):
    lists = ranked_lists(catalogue, [0, 3], recommender_scorer(catalogue, CONFIG), k=5)
    for row, evaluated in zip([0, 3], lists, strict=True):
        hits = catalogue.rank(catalogue.features_of([row]), [row], 5, CONFIG)
        assert [hit.row for hit in hits] == evaluated.tolist()


def test_short_lists_are_filled_with_minus_one(catalogue):
    lists = ranked_lists(catalogue, [0], recommender_scorer(catalogue, CONFIG), k=30)
    assert (lists[0, len(TITLES) - 1 :] == -1).all()
    assert (lists[0, : len(TITLES) - 1] >= 0).all()


def test_random_scores_are_reproducible_and_differ_between_queries(catalogue):
    first, repeated = (
        baseline_scorers(catalogue.features, catalogue.items)["random"]([2, 3]) for _ in range(2)
    )
    assert np.array_equal(first, repeated)
    assert not np.array_equal(first[0], first[1])
