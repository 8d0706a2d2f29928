import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tasks.recommend.index_transformer import (
    IndexTransformer,
    load_transformer,
    mean_and_covariance,
    save_transformer,
    single_words,
    smooth_idf,
    tfidf_weights,
    whiten,
    whitening_matrix,
)

TEXTS = ["ghost ship ghost", "ship war", "war war war song"]


def transformer(words: dict[str, float], titles: dict[str, float]) -> IndexTransformer:
    return IndexTransformer(
        words=words,
        titles=titles,
        centre=np.ones(2, np.float32),
        whitening=np.eye(2, dtype=np.float32),
        votes=0.1,
        classes=["War"],
        rare=3.0,
    )


def test_tfidf_weights_equal_those_of_scikit_learn():
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    expected = vectorizer.fit_transform(TEXTS).toarray()
    idf = smooth_idf({"ghost": 1, "ship": 2, "war": 2, "song": 1}, 3)
    for text, row in zip(TEXTS, expected, strict=True):
        for term, weight in tfidf_weights(text.split(), idf, rare=1.0).items():
            assert weight == pytest.approx(row[vectorizer.vocabulary_[term]])


def test_an_unknown_term_gets_the_idf_of_a_rare_term():
    weights = tfidf_weights(["new", "old"], {"old": 1.0}, rare=3.0)
    assert weights["new"] == pytest.approx(3 * weights["old"])


def test_bigrams_are_not_single_words():
    assert single_words("haunt ship haunt_ship") == ["haunt", "ship"]


def test_whitened_vectors_are_uncorrelated_with_equal_variance():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(5000, 3)) * [1, 5, 0.2] + [3, 0, -1]).astype(np.float32)
    centre, covariance, count = mean_and_covariance([vectors[:2000], vectors[2000:]])
    assert centre == pytest.approx(vectors.mean(axis=0), abs=1e-4)
    assert count == 5000
    whitened = (vectors - centre) @ whitening_matrix(covariance, count)
    assert np.cov(whitened.T) == pytest.approx(np.eye(3), abs=0.15)


def test_whitening_of_few_documents_amplifies_no_direction():
    vectors = np.random.default_rng(0).normal(size=(10, 50)).astype(np.float32)
    _, covariance, count = mean_and_covariance([vectors])
    scales = np.linalg.norm(whitening_matrix(covariance, count), axis=0)
    assert scales.max() < 3


def test_a_stored_transformer_loads_unchanged(tmp_path):
    fitted = transformer({"ghost": 1.5}, {"alien": 2.0})
    save_transformer(fitted, tmp_path)
    loaded = load_transformer(str(tmp_path))
    assert (loaded.words, loaded.titles) == (fitted.words, fitted.titles)
    assert loaded[4:] == fitted[4:]
    vectors = np.array([[3, 1]], np.float32)
    assert whiten(vectors, loaded).tolist() == whiten(vectors, fitted).tolist() == [[1, 0]]


def test_a_stored_transformer_does_not_depend_on_the_order_of_its_terms(tmp_path):
    for name, terms in (("a", "xyz"), ("b", "zxy")):
        (tmp_path / name).mkdir()
        idf = dict.fromkeys(terms, 1.0)
        save_transformer(transformer(idf, idf), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
