import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tasks.recommend.features.index_transformer import (
    MAX_TITLES_OF_WORD,
    NAME_WEIGHT,
    TERM_COLUMNS,
    IndexTransformer,
    Projection,
    discount_names,
    load_transformer,
    mean_and_covariance,
    principal_projection,
    save_transformer,
    single_words,
    smooth_idf,
    tfidf_weights,
    title_idf,
    whitening_projection,
)

TEXTS = ["ghost ship ghost", "ship war", "war war war song"]


def transformer(**terms: dict[str, float]) -> IndexTransformer:
    """A transformer of these terms by kind, with two projections that differ."""
    centre, axes = np.ones(2, np.float32), np.array([[0, 2], [1, 0]], np.float32)
    return IndexTransformer(
        **{name: terms.get(name, {}) for name in TERM_COLUMNS},
        content=Projection(centre, axes),
        hidden=Projection(centre - 1, axes[:, :1]),
        affinity=np.array([[1.0]], np.float32),
        votes=0.1,
        classes=["War"],
        rare=3.0,
        with_keywords=True,
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


def test_terms_without_idf_are_left_out_of_unit_weights():
    assert tfidf_weights(["king", "lion"], {"king": 0.0, "lion": 2.0}, rare=3.0) == {"lion": 1.0}
    assert tfidf_weights(["king"], {"king": 0.0}, rare=3.0) == {}


def test_bigrams_are_not_single_words():
    assert single_words("haunt ship haunt_ship") == ["haunt", "ship"]


def test_words_of_a_title_are_not_counted_twice():
    assert single_words("ghost ship\tghost") == ["ghost", "ship"]


def test_only_common_single_words_of_titles_have_no_idf():
    common, rare = MAX_TITLES_OF_WORD + 1, MAX_TITLES_OF_WORD
    frequencies = {"king": common, "=king": common, "^king kong": common, "king kong": common}
    idf = title_idf(frequencies | {"lion": rare}, 100)
    assert {term for term, weight in idf.items() if not weight} == {"king"}
    assert idf["=king"] == smooth_idf({"=king": common}, 100)["=king"]


def test_names_are_discounted_in_words_and_once_for_each_name_in_bigrams():
    idf = {"anni": 2.0, "hall": 2.0, "anni_hall": 2.0, "anni_jone": 2.0, "annibal": 2.0}
    assert discount_names(idf, {"anni", "jone"}) == {
        "anni": 2 * NAME_WEIGHT,
        "hall": 2.0,
        "anni_hall": 2 * NAME_WEIGHT,
        "anni_jone": 2 * NAME_WEIGHT**2,
        "annibal": 2.0,
    }


def test_whitened_vectors_are_uncorrelated_with_shrunk_variances():
    """Variance v becomes v / (v + ridge) with a ridge of a tenth of the mean variance, 8."""
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(5000, 3)) * [1, 3, 14**0.5] + [3, 0, -1]).astype(np.float32)
    parts = [vectors[:2000], vectors[2000:]]
    centre, _, count = mean_and_covariance(parts)
    assert centre == pytest.approx(vectors.mean(axis=0), abs=1e-4)
    assert count == 5000
    projection = whitening_projection(parts)
    whitened = (vectors - projection.centre) @ projection.axes
    assert np.cov(whitened.T) == pytest.approx(np.diag([1 / 1.8, 9 / 9.8, 14 / 14.8]), abs=0.03)


def test_whitening_of_few_documents_amplifies_no_direction():
    vectors = np.random.default_rng(0).normal(size=(10, 50)).astype(np.float32)
    scales = np.linalg.norm(whitening_projection([vectors]).axes, axis=0)
    assert scales.max() < 3


def test_principal_components_are_the_directions_of_largest_variance():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(500, 3)) * [1, 5, 0.1] + [3, 0, -1]).astype(np.float32)
    projection = principal_projection([vectors[:200], vectors[200:]], size=2)
    assert projection.centre == pytest.approx(vectors.mean(axis=0), abs=1e-4)
    assert np.abs(projection.axes[:, 1]) == pytest.approx([0, 1, 0], abs=0.05)
    assert np.abs(projection.axes[:, 0]) == pytest.approx([1, 0, 0], abs=0.05)


def test_projected_vectors_have_unit_length_and_the_centre_has_none():
    projection = transformer().content
    vectors = projection.unit_vectors(np.array([[4, 5], [1, 1]], np.float32))
    assert vectors.tolist() == [pytest.approx([4 / 52**0.5, 6 / 52**0.5]), [0, 0]]


def test_a_stored_transformer_loads_unchanged(tmp_path):
    fitted = transformer(**{name: {name: 1.5, "b": 2.0} for name in TERM_COLUMNS})
    save_transformer(fitted, tmp_path)
    loaded = load_transformer(str(tmp_path))
    projections = ("content", "hidden")
    for name in projections:
        for stored, array in zip(getattr(loaded, name), getattr(fitted, name), strict=True):
            assert np.array_equal(stored, array)
    same = dict.fromkeys(projections)
    assert loaded._replace(**same) == fitted._replace(**same)


def test_a_transformer_of_an_early_release_is_read(tmp_path):
    fitted = transformer(**{name: {name: 1.5} for name in TERM_COLUMNS})
    save_transformer(fitted, tmp_path)
    arrays = {}
    for name in ("projections.npz", "hidden.npz"):
        with np.load(tmp_path / name, allow_pickle=False) as file:
            arrays |= dict(file)
    (tmp_path / "hidden.npz").unlink()
    np.savez(tmp_path / "projections.npz", allow_pickle=False, **arrays)
    loaded = load_transformer(str(tmp_path))
    for name in ("content", "hidden"):
        for stored, array in zip(getattr(loaded, name), getattr(fitted, name), strict=True):
            assert np.array_equal(stored, array)


def test_a_stored_transformer_does_not_depend_on_the_order_of_its_terms(tmp_path):
    for name, terms in (("a", "xyz"), ("b", "zxy")):
        (tmp_path / name).mkdir()
        idf = dict.fromkeys(terms, 1.0)
        save_transformer(transformer(**dict.fromkeys(TERM_COLUMNS, idf)), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
