import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from tasks.recommend.scoring import (
    FEATURES,
    KNOWN_VOTES,
    PRESETS,
    Array,
    ItemFeatures,
    RankConfig,
    TextWeights,
    common_words,
    drop_duplicates,
    mmr_rerank,
    popularity_prior,
    quality_prior,
    score_contributions,
    similarity_features,
    top_positions,
    used_features,
    weighted_scores,
    year_proximity,
)

NO_WEIGHTS = dict.fromkeys(FEATURES, 0.0)


def items() -> ItemFeatures:
    """Three movies: the first two are alike in everything but their years."""
    return ItemFeatures(
        content=np.array([[1, 0], [1, 0], [0, 1]], np.float32),
        hidden=np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32),
        words=sp.csr_array(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)),
        titles=sp.csr_array(np.array([[1], [1], [0]], np.float32)),
        people=sp.csr_array(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)),
        keywords=sp.csr_array(np.array([[0.6, 0.8], [0, 1], [0, 0]], np.float32)),
        genres=np.array([[1, 0], [1, 0], [0, 0]], np.float32),
        affinities=np.array([[1, -2], [1, -2], [0, 0]], np.float32),
        years=np.array([2000, 2008, np.nan], np.float32),
        votes=np.array([0.1, 0.2, 0.9], np.float32),
    )


def first_movie_similarities() -> dict[str, Array]:
    return similarity_features(items().rows(np.array([0])), items().by_term())


def only(**weights: float) -> RankConfig:
    """Ranking weights of these features alone."""
    return RankConfig(**NO_WEIGHTS | weights)


def test_similarity_features_are_cosines_year_proximity_and_priors():
    features = first_movie_similarities()
    assert tuple(features) == FEATURES
    assert features["content"].tolist() == [[1, 1, 0]]
    assert features["words"][0].tolist() == pytest.approx([1, 0.6, 0])
    assert features["title"].tolist() == [[1, 1, 0]]
    assert features["genre"].tolist() == [[1, 1, 0]]
    assert features["year"][0].tolist() == pytest.approx([1, np.exp(-1), 0.3])
    assert features["hidden"][0].tolist() == pytest.approx([1, 0.8, 0])
    assert features["people"][0].tolist() == pytest.approx([1, 0, 0.6])
    assert features["keywords"][0].tolist() == pytest.approx([1, 0.8, 0])
    assert features["votes"][0].tolist() == pytest.approx([0.1, 0.2, 0.9])
    assert features["quality"][0].tolist() == pytest.approx([0.631, 0.892, 1], abs=1e-3)


def test_only_the_named_features_are_computed():
    queries, movies = items(), items().by_term()
    assert list(similarity_features(queries, movies, ["people", "year"])) == ["people", "year"]


def test_used_features_are_those_with_a_weight():
    assert used_features(only(people=1, year=0.1)) == ["people", "year"]
    assert used_features(only()) == ["content"]


def test_scores_of_used_features_equal_those_of_all():
    config = only(words=3, votes=1)
    used = similarity_features(items(), items().by_term(), used_features(config))
    every = similarity_features(items(), items().by_term())
    assert np.array_equal(weighted_scores(used, config), weighted_scores(every, config))


def test_score_is_the_weighted_mean_of_the_features():
    scores = weighted_scores(first_movie_similarities(), only(words=3, votes=1))
    assert scores[0].tolist() == pytest.approx([0.775, 0.5, 0.225])


def test_scores_without_weights_are_zero():
    scores = weighted_scores(first_movie_similarities(), only())
    assert scores.tolist() == [[0, 0, 0]]


def test_contributions_sum_to_the_score():
    features, config = first_movie_similarities(), RankConfig()
    contributions = score_contributions(features, config, row=1)
    score = weighted_scores(features, config)[0, 1]
    assert sum(contributions.values()) == pytest.approx(score)


def test_popularity_is_the_squared_log_vote_count_and_neutral_if_unknown():
    priors = popularity_prior([None, 0, 100, 10_000], neutral=0.25)
    assert priors.tolist() == pytest.approx([0.25, 0, 0.251, 1], abs=1e-3)


def test_quality_grows_with_the_votes_up_to_the_limit_and_not_beyond():
    votes = [0, 9, KNOWN_VOTES, 100 * KNOWN_VOTES, 10**9]
    quality = quality_prior(popularity_prior(votes, neutral=0.0))
    assert quality.tolist() == pytest.approx([0, 0.499, 1, 1, 1], abs=1e-3)


@given(st.lists(st.none() | st.integers(0, 10**9), max_size=20), st.floats(0, 1))
def test_quality_is_between_0_and_1(votes, neutral):
    quality = quality_prior(popularity_prior(votes, neutral))
    assert ((quality >= 0) & (quality <= 1)).all()


def test_a_preset_sets_weights_and_explicit_weights_win():
    popular = PRESETS["popular"]
    assert RankConfig(preset="popular").votes == popular["votes"] > RankConfig().votes
    assert RankConfig(preset="popular", votes=0.3).votes == 0.3
    assert RankConfig(preset="popular", votes=0.3).quality == popular["quality"]
    assert RankConfig(preset="popular", words=4).words == 4


def test_a_stored_preset_with_changed_weights_is_restored():
    config = RankConfig(preset="popular", votes=0.3, people=1)
    assert RankConfig.model_validate_json(config.model_dump_json()) == config


def test_a_text_is_ranked_with_the_weights_of_texts_alone():
    text = TextWeights(content=1, words=2, genre=3, votes=4)
    config = RankConfig(**dict.fromkeys(FEATURES, 9.0), diversity=0.5, text=text).for_text()
    weights = {name: getattr(config, name) for name in FEATURES if getattr(config, name)}
    assert weights == {"content": 1, "words": 2, "genre": 3, "votes": 4}
    assert config.diversity == 0.5
    assert (config.title, config.year) == (0.0, 0.0)


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


@pytest.mark.parametrize("scale", [1.0, 0.01, 100.0])
def test_mmr_does_not_depend_on_the_scale_of_the_scores(scale):
    """Penalties for the pick's copy: 0.5 of the best score; for the third movie, 0.3 of it.

    0.95 - 0.5 and 0.7 - 0.3 are in favour of the copy, with a penalty of 0.8 and 0.48 the third.
    """
    content = np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float32)
    scores = np.array([1, 0.95, 0.7], np.float32) * np.float32(scale)
    assert mmr_rerank(scores, content, limit=2, diversity=0.5) == [0, 1]
    assert mmr_rerank(scores, content, limit=2, diversity=0.8) == [0, 2]
    assert mmr_rerank(scores, content, limit=9, diversity=0.8) == [0, 2, 1]


def test_common_words_are_sorted_by_tfidf_product():
    query_words = sp.csr_array(np.array([[0.1, 0.9, 0.3]]))
    item_words = sp.csr_array(np.array([[0.5, 0.5, 0.0]]))
    assert common_words(query_words, item_words, ["a", "b", "c"]) == ["b", "a"]


@pytest.mark.parametrize("n_scores", [1, 61, 62, 1000])
@pytest.mark.parametrize("count", [0, 1, 10, 61])
def test_highest_scores_are_those_of_a_full_sort(n_scores, count):
    """Distinct scores, ties and excluded movies."""
    random = np.random.default_rng(n_scores + count)
    distinct = random.random(n_scores)
    excluded = np.where(random.random(n_scores) < 0.5, -np.inf, distinct)
    for scores in (distinct, excluded, random.integers(0, 3, n_scores), np.zeros(n_scores)):
        scores = scores.astype(np.float32)
        expected = np.lexsort((np.arange(n_scores), -scores))[:count]
        assert top_positions(scores, count).tolist() == expected.tolist()


def test_five_common_words_are_listed_and_equal_ones_by_position():
    words = [f"word{column:02d}" for column in range(40)]
    ones, alternating = np.ones((1, 40)), np.arange(40)[None] % 2 + 1.0
    assert common_words(sp.csr_array(ones), sp.csr_array(ones), words) == words[:5]
    best_first = common_words(sp.csr_array(ones), sp.csr_array(alternating), words, count=40)
    assert best_first == words[1::2] + words[::2]
