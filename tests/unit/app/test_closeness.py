import numpy as np
import pytest

from app.closeness import closeness, self_score
from tasks.recommend.query import RecommendationRequest, query_from_movies
from tasks.recommend.scoring import FEATURES, RankConfig
from tasks.recommend.search import get_version

WORDS_ALONE = RankConfig.model_validate(dict.fromkeys(FEATURES, 0.0) | {"words": 2.0})


@pytest.fixture(scope="module")
def version(demo_index):
    return get_version(demo_index)


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.40, "very close"),
        (0.28, "very close"),
        (0.27, "close"),
        (0.20, "close"),
        (0.19, "related"),
        (0.17, "related"),
        (0.15, "loosely related"),
        (-0.1, "loosely related"),
    ],
)
def test_a_score_is_read_on_the_scale_of_the_question(score, words):
    """With an own score of 0.8 the thresholds lie at 0.28, 0.2 and 0.16."""
    assert closeness({"words": score}, question_score=0.8) == words


def test_the_title_counts_no_more_than_all_else():
    assert closeness({"title": 0.5, "words": 0.05}, question_score=1.0) == "loosely related"
    assert closeness({"title": 0.2, "words": 0.2}, question_score=1.0) == "very close"


def test_without_any_weight_nothing_is_close():
    assert closeness({}, question_score=0.0) == "loosely related"


def test_a_movie_compared_with_itself_has_the_highest_score(version):
    query = query_from_movies(RecommendationRequest(titles=["Alien"]), version)
    assert self_score(query, WORDS_ALONE) == pytest.approx(1.0, abs=1e-6)


def test_of_several_movies_the_one_most_like_all_counts(version):
    """Movies 1 and 2 share one of three words, so that each is (1 + s) / 2 like both."""
    query = query_from_movies(RecommendationRequest(titles=["Alien", "Aliens"]), version)
    shared = float((query.features.words @ query.features.words.T).toarray()[0, 1])
    assert 0 < shared < 1
    assert self_score(query, WORDS_ALONE) == pytest.approx((1 + shared) / 2, abs=1e-6)


def test_a_text_has_a_score_of_its_own(version):
    content = np.full((1, 6), 6**-0.5, np.float32)
    genres = np.array([[0, 1]], np.float32)
    features = version.catalogue.text_features(content, content, genres, {"story": 1.0})
    query = query_from_movies(RecommendationRequest(titles=["Alien"]), version)
    text = query._replace(features=features, rows=[])
    assert self_score(text, WORDS_ALONE.for_text()) == pytest.approx(6.1 / 6.9, abs=1e-5)
