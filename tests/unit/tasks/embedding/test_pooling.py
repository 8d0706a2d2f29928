import numpy as np
import pytest

from tasks.embedding.pooling import (
    WordWeights,
    known_token_rows,
    pooled_vectors,
    weighted_vectors,
)

WEIGHTS = WordWeights(
    {"ghost": 0, "saloon": 1, "piano": 2}, np.array([[2, 0], [0, 3], [-1, 0]], np.float32)
)


def test_vector_is_the_sum_of_word_directions_over_the_root_of_the_word_count():
    ghost, two_words, repeated = pooled_vectors(
        WEIGHTS, ["ghost", "saloon ghost", "ghost x ghost saloon"]
    )
    assert ghost.tolist() == [1, 0]
    assert two_words == pytest.approx([0.5**0.5, 0.5**0.5])
    assert repeated == pytest.approx([2 / 3**0.5, 1 / 3**0.5])


def test_vector_depends_neither_on_word_order_nor_on_other_documents():
    (alone,) = pooled_vectors(WEIGHTS, ["piano saloon"])
    batch = pooled_vectors(WEIGHTS, ["ghost", "saloon piano", ""])
    assert np.array_equal(alone, batch[1])


def test_document_without_known_words_gets_the_mean_direction():
    unknown, empty = pooled_vectors(WEIGHTS, ["nobody knows", ""])
    assert unknown == pytest.approx([0, 1 / 3])
    assert np.array_equal(unknown, empty)


def test_token_rows_repeat_with_the_tokens():
    assert known_token_rows(WEIGHTS.row_by_word, ["ghost of a ghost", "x"]) == [[0, 0], []]


def test_the_words_of_a_title_are_read_once():
    """They are among the tokens before the tab."""
    assert known_token_rows({"a": 3}, ["a b\ta"]) == [[3]]
    texts = ("ghost saloon\tghost", "ghost saloon")
    twice, once = (weighted_vectors(WEIGHTS, [text], {}) for text in texts)
    assert np.array_equal(twice, once)


def test_a_weighted_vector_is_the_unit_sum_of_directions_times_importance():
    """The length of a word's weight does not count; a word without importance counts 1."""
    ghost, two_words, repeated = weighted_vectors(
        WEIGHTS, ["ghost", "ghost saloon", "x saloon ghost ghost"], {"ghost": 3.0}
    )
    assert ghost.tolist() == [1, 0]
    assert two_words == pytest.approx([3 / 10**0.5, 1 / 10**0.5])
    assert repeated == pytest.approx([6 / 37**0.5, 1 / 37**0.5])


def test_a_weighted_vector_does_not_depend_on_other_documents():
    (alone,) = weighted_vectors(WEIGHTS, ["piano saloon"], {"piano": 2.0})
    batch = weighted_vectors(WEIGHTS, ["ghost", "saloon piano", ""], {"piano": 2.0})
    assert np.array_equal(alone, batch[1])


def test_a_weighted_vector_without_known_words_is_the_unit_mean_direction():
    unknown, empty, known = weighted_vectors(WEIGHTS, ["nobody knows", "", "piano"], {})
    assert unknown.tolist() == empty.tolist() == [0, 1]
    assert known.tolist() == [-1, 0]
