import numpy as np
import pytest
import scipy.sparse as sp

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    BASELINES,
    RECOMMENDER,
    WEIGHTED_BASELINES,
    Bm25,
    Queries,
    Scorers,
    fit_bm25,
    recommender_scorer,
    word_counts,
)
from tasks.recommend.scoring import similarity_features, used_features, weighted_scores
from tests.support.index_rows import TITLES, rows
from tests.support.text_models import WORDS_ALONE

DOCUMENTS = ["ghost ghost ship", "ship", "war song"]
COLUMNS = {"ghost": 0, "ship": 1, "war": 2, "song": 3}


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


@pytest.fixture
def scorers(catalogue) -> Scorers:
    return Scorers(catalogue, WORDS_ALONE, bm25_of(len(TITLES)))


def bm25_of(n_movies: int) -> Bm25:
    """BM25 of movies whose texts are `DOCUMENTS` in turn."""
    return fit_bm25(word_counts([DOCUMENTS[row % 3] for row in range(n_movies)], list(COLUMNS)))


def test_other_words_and_bigrams_are_not_counted():
    counts = word_counts(["ship ghost ship new ghost_ship\tghost", ""], list(COLUMNS))
    assert counts.toarray().tolist() == [[1, 2, 0, 0], [0] * 4]


def test_bm25_equals_its_formula():
    """Three documents of two words on average; `ghost` is in one of them, `ship` in two."""
    ghost_idf, ship_idf = np.log(1 + 2.5 / 1.5), np.log(1 + 1.5 / 2.5)
    long_document, short_document = 1.2 * (0.25 + 0.75 * 3 / 2), 1.2 * (0.25 + 0.75 * 1 / 2)
    (scores,) = bm25_of(3).scores(word_counts(["ghost ship"], list(COLUMNS)))
    assert scores.tolist() == pytest.approx(
        [
            ghost_idf * 2 * 2.2 / (2 + long_document) + ship_idf * 2.2 / (1 + long_document),
            ship_idf * 2.2 / (1 + short_document),
            0,
        ]
    )


def test_a_repeated_word_of_the_query_counts_twice():
    once, twice = bm25_of(3).scores(word_counts(["ship", "ship ship"], list(COLUMNS)))
    assert twice == pytest.approx(2 * once)


def test_popularity_ranks_by_votes_whatever_the_query(catalogue, scorers):
    scores = scorers.scores(scorers.movie_queries([2, 9]))["popularity"]
    for row in scores:
        assert np.argsort(row).tolist() == np.argsort(catalogue.features.votes).tolist()


def test_a_scorer_without_text_sees_neither_texts_nor_titles(scorers):
    assert set(used_features(WEIGHTED_BASELINES["no_text"])) == {"genre", "year", "votes"}


def test_random_scores_depend_on_the_query_alone(scorers):
    both = scorers.scores(scorers.movie_queries([2, 3]))["random"]
    alone = scorers.scores(scorers.movie_queries([3]))["random"]
    assert np.array_equal(both[1], alone[0])
    assert not np.array_equal(both[0], both[1])


def test_recommender_and_all_baselines_score_every_movie(scorers):
    scores = scorers.scores(scorers.movie_queries([0, 5, 7]))
    assert set(scores) == set(scorers.names) == {RECOMMENDER, *BASELINES}
    assert {values.shape for values in scores.values()} == {(3, len(TITLES))}


def test_without_bm25_only_the_recommender_is_scored(catalogue):
    scorers = Scorers(catalogue, WORDS_ALONE)
    assert scorers.names == list(scorers.scores(scorers.movie_queries([0]))) == [RECOMMENDER]


def test_scores_side_by_side_are_those_of_the_scorer_alone(catalogue, scorers):
    alone = recommender_scorer(catalogue, WORDS_ALONE)([4, 6])
    assert np.array_equal(scorers.scores(scorers.movie_queries([4, 6]))[RECOMMENDER], alone)
    features = similarity_features(catalogue.features_of([4, 6]), catalogue.items)
    for name, config in WEIGHTED_BASELINES.items():
        scores = scorers.scores(scorers.movie_queries([4, 6]))[name]
        assert scores == pytest.approx(weighted_scores(features, config))


def test_a_text_is_scored_with_the_weights_of_texts_and_baselines_with_their_own(catalogue):
    by_votes = WORDS_ALONE.model_copy(
        update={"text": WORDS_ALONE.text.model_copy(update={"words": 0.0, "votes": 1.0})}
    )
    scorers = Scorers(catalogue, by_votes, bm25_of(len(TITLES)))
    counts = sp.csr_array((1, len(COLUMNS)), dtype=np.float32)
    queries = Queries(catalogue.features_of([4]), counts, [0])
    as_movie, as_text = (scorers.scores(queries, is_text=is_text) for is_text in (False, True))
    assert np.array_equal(as_text[RECOMMENDER], as_text["popularity"])
    assert np.array_equal(as_movie[RECOMMENDER], as_movie["tfidf"])
    assert np.array_equal(as_text["tfidf"], as_movie["tfidf"])
