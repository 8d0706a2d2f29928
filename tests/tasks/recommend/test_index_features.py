import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tasks.recommend.index_features import (
    IndexTransformer,
    genre_features,
    load_transformer,
    mean_and_covariance,
    save_transformer,
    single_words,
    smooth_idf,
    tfidf_weights,
    whiten,
    whitening_of,
)

TEXTS = ["ghost ship ghost", "ship war", "war war war song"]


def test_weights_are_those_of_scikit_learn():
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    expected = vectorizer.fit_transform(TEXTS).toarray()
    counts = {"ghost": 1, "ship": 2, "war": 2, "song": 1}
    frequencies = smooth_idf(counts, 3)
    for text, row in zip(TEXTS, expected, strict=True):
        for term, weight in tfidf_weights(text.split(), frequencies, 1.0).items():
            assert weight == pytest.approx(row[vectorizer.vocabulary_[term]])


def test_a_term_that_no_movie_has_counts_as_a_rare_one():
    found = tfidf_weights(["new", "old"], {"old": 1.0}, rare=3.0)
    assert found["new"] == pytest.approx(3 * found["old"])


def test_pairs_of_neighbours_are_no_words():
    assert single_words("haunt ship haunt_ship") == ["haunt", "ship"]


def test_a_stored_lexicon_does_not_depend_on_the_order_of_counting(tmp_path):
    rest = {"centre": np.zeros(2, np.float32), "whitening": np.eye(2, dtype=np.float32)}
    for name, terms in (("a", "xyz"), ("b", "zxy")):
        (tmp_path / name).mkdir()
        counted = dict.fromkeys(terms, 1.0)
        lexicon = IndexTransformer(counted, counted, **rest, votes=0.0, classes=["War"], rare=2.0)
        save_transformer(lexicon, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_whitened_vectors_are_uncorrelated_with_equal_variance():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(5000, 3)) * [1, 5, 0.2] + [3, 0, -1]).astype(np.float32)
    centre, covariance, count = mean_and_covariance([vectors[:2000], vectors[2000:]])
    assert centre == pytest.approx(vectors.mean(axis=0), abs=1e-4)
    assert count == 5000
    white = (vectors - centre) @ whitening_of(covariance, count)
    assert np.cov(white.T) == pytest.approx(np.eye(3), abs=0.15)


def test_few_documents_blow_no_direction_up():
    vectors = np.random.default_rng(0).normal(size=(10, 50)).astype(np.float32)
    _, covariance, count = mean_and_covariance([vectors])
    rates = np.linalg.norm(whitening_of(covariance, count), axis=0)
    assert rates.max() < 3


def test_predicted_genres_stand_in_where_none_is_known():
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.2, 0.9], [0.3, 0.6]], np.float32)
    assert genre_features(labels, probabilities).tolist() == [
        [1, 0],
        [pytest.approx(0.3), pytest.approx(0.6)],
    ]


def test_a_stored_lexicon_is_the_same(tmp_path):
    lexicon = IndexTransformer(
        {"ghost": 1.5},
        {"alien": 2.0},
        np.ones(2, np.float32),
        np.eye(2, dtype=np.float32),
        0.1,
        ["W"],
        3.0,
    )
    save_transformer(lexicon, tmp_path)
    again = load_transformer(str(tmp_path))
    assert (again.words, again.titles) == (lexicon.words, lexicon.titles)
    assert again[4:] == lexicon[4:]
    vectors = np.array([[3, 1]], np.float32)
    assert whiten(vectors, again).tolist() == whiten(vectors, lexicon).tolist() == [[1, 0]]
