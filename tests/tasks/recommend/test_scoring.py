import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from tasks.recommend.scoring import (
    FEATURES,
    Array,
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

NO_WEIGHTS = dict.fromkeys(FEATURES, 0.0)


def items() -> ItemFeatures:
    """Three movies: the first two are alike in everything but their years."""
    return ItemFeatures(
        content=np.array([[1, 0], [1, 0], [0, 1]], np.float32),
        words=sp.csr_array(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)),
        titles=sp.csr_array(np.array([[1], [1], [0]], np.float32)),
        genres=np.array([[1, 0], [1, 0], [0, 0]], np.float32),
        years=np.array([2000, 2008, np.nan], np.float32),
        votes=np.array([0.1, 0.2, 0.9], np.float32),
    )


def first_movie_similarities() -> dict[str, Array]:
    return similarity_features(items().rows(np.array([0])), items().by_term())


def test_similarity_features_are_cosines_year_proximity_and_popularity():
    features = first_movie_similarities()
    assert features["content"].tolist() == [[1, 1, 0]]
    assert features["words"][0].tolist() == pytest.approx([1, 0.6, 0])
    assert features["title"].tolist() == [[1, 1, 0]]
    assert features["genre"].tolist() == [[1, 1, 0]]
    assert features["year"][0].tolist() == pytest.approx([1, np.exp(-1), 0.3])
    assert features["votes"][0].tolist() == pytest.approx([0.1, 0.2, 0.9])


def test_score_is_the_weighted_mean_of_the_features():
    config = RankConfig(**NO_WEIGHTS | {"words": 3, "votes": 1})
    scores = weighted_scores(first_movie_similarities(), config)
    assert scores[0].tolist() == pytest.approx([0.775, 0.5, 0.225])


def test_scores_without_weights_are_zero():
    scores = weighted_scores(first_movie_similarities(), RankConfig(**NO_WEIGHTS))
    assert scores.tolist() == [[0, 0, 0]]


def test_contributions_sum_to_the_score():
    features, config = first_movie_similarities(), RankConfig()
    contributions = score_contributions(features, config, row=1)
    score = weighted_scores(features, config)[0, 1]
    assert sum(contributions.values()) == pytest.approx(score)


def test_popularity_is_the_squared_log_vote_count_and_neutral_if_unknown():
    priors = popularity_prior([None, 0, 100, 10_000], neutral=0.25)
    assert priors.tolist() == pytest.approx([0.25, 0, 0.251, 1], abs=1e-3)


def test_proximity_of_an_unknown_year_is_neutral():
    years = np.array([np.nan, 1990], np.float32)
    assert year_proximity(years, years).tolist() == [
        [pytest.approx(0.3), pytest.approx(0.3)],
        [pytest.approx(0.3), 1],
    ]


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30), st.integers(1, 40))
def test_top_positions_are_sorted_by_score(values, count):
    scores = np.array(values, np.float32)
    top_scores = scores[top_positions(scores, count)].tolist()
    assert top_scores == sorted(values, reverse=True)[: min(count, len(values))]


def test_query_movies_and_duplicates_are_dropped():
    overviews, titles = np.array([0, 1, 1, 2, 3]), np.array([0, 1, 2, 0, 4])
    keys = [overviews, titles]
    assert drop_duplicates([0, 1, 2, 3, 4], keys, query_rows=[0], limit=9) == [1, 4]
    assert drop_duplicates([4, 3, 2, 1, 0], keys, query_rows=[0], limit=1) == [4]


def test_mmr_prefers_movies_unlike_earlier_picks():
    content = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = np.array([0.9, 0.8, 0.5], np.float32)
    assert mmr_rerank(scores, content, limit=3, diversity=0.0) == [0, 1, 2]
    assert mmr_rerank(scores, content, limit=2, diversity=0.9) == [0, 2]


def test_common_words_are_sorted_by_tfidf_product():
    query_words = sp.csr_array(np.array([[0.1, 0.9, 0.3]]))
    item_words = sp.csr_array(np.array([[0.5, 0.5, 0.0]]))
    assert common_words(query_words, item_words, ["a", "b", "c"]) == ["b", "a"]
