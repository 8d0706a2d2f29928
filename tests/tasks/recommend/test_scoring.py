import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from tasks.recommend.scoring import (
    FEATURES,
    ItemFeatures,
    RankConfig,
    common_words,
    drop_duplicates,
    mmr_rerank,
    popularity_prior,
    score_contributions,
    similarity_features,
    top_positions,
    weighted_scores,
    year_proximity,
)

NOTHING = dict.fromkeys(FEATURES, 0.0)


def profiles() -> ItemFeatures:
    """Three movies: the first two alike in everything but their years."""
    return ItemFeatures(
        np.array([[1, 0], [1, 0], [0, 1]], np.float32),
        sp.csr_array(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)),
        sp.csr_array(np.array([[1], [1], [0]], np.float32)),
        np.array([[1, 0], [1, 0], [0, 0]], np.float32),
        np.array([2000, 2008, np.nan], np.float32),
        np.array([0.1, 0.2, 0.9], np.float32),
    )


def test_each_feature_says_what_its_name_says():
    found = similarity_features(profiles().rows(np.array([0])), profiles().by_term())
    assert found["content"].tolist() == [[1, 1, 0]]
    assert found["words"][0].tolist() == pytest.approx([1, 0.6, 0])
    assert found["title"].tolist() == [[1, 1, 0]]
    assert found["genre"].tolist() == [[1, 1, 0]]
    assert found["year"][0].tolist() == pytest.approx([1, np.exp(-1), 0.3])
    assert found["votes"][0].tolist() == pytest.approx([0.1, 0.2, 0.9])


def test_scores_are_a_weighted_mean():
    found = similarity_features(profiles().rows(np.array([0])), profiles().by_term())
    config = RankConfig(**NOTHING | {"words": 3, "votes": 1})
    assert weighted_scores(found, config)[0].tolist() == pytest.approx([0.775, 0.5, 0.225])
    assert weighted_scores(found, RankConfig(**NOTHING)).tolist() == [[0, 0, 0]]


def test_shares_add_up_to_the_score():
    found = similarity_features(profiles().rows(np.array([0])), profiles().by_term())
    config = RankConfig()
    assert sum(score_contributions(found, config, 1).values()) == pytest.approx(
        weighted_scores(found, config)[0, 1]
    )


def test_unknown_votes_are_neutral_and_few_count_little():
    found = popularity_prior([None, 0, 100, 10_000], neutral=0.25)
    assert found.tolist() == pytest.approx([0.25, 0, 0.251, 1], abs=1e-3)


def test_an_unknown_year_is_neutral():
    years = np.array([np.nan, 1990], np.float32)
    assert year_proximity(years, years).tolist() == [
        [pytest.approx(0.3), pytest.approx(0.3)],
        [pytest.approx(0.3), 1],
    ]


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30), st.integers(1, 40))
def test_the_best_come_in_order(values, count):
    array = np.array(values, np.float32)
    found = array[top_positions(array, count)].tolist()
    assert found == sorted(values, reverse=True)[: min(count, len(values))]


def test_copies_and_what_was_asked_are_left_out():
    overviews, titles = np.array([0, 1, 1, 2, 3]), np.array([0, 1, 2, 0, 4])
    assert drop_duplicates([0, 1, 2, 3, 4], [overviews, titles], asked=[0], limit=9) == [1, 4]
    assert drop_duplicates([4, 3, 2, 1, 0], [overviews, titles], asked=[0], limit=1) == [4]


def test_diversity_prefers_what_is_unlike_earlier_picks():
    content = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    score = np.array([0.9, 0.8, 0.5], np.float32)
    assert mmr_rerank(score, content, 3, 0.0) == [0, 1, 2]
    assert mmr_rerank(score, content, 2, 0.9) == [0, 2]


def test_words_in_common_come_most_telling_first():
    query = sp.csr_array(np.array([[0.1, 0.9, 0.3]]))
    item = sp.csr_array(np.array([[0.5, 0.5, 0.0]]))
    assert common_words(query, item, ["a", "b", "c"]) == ["b", "a"]
