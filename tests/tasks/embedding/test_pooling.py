import numpy as np
import pytest

from tasks.embedding.pooling import WordWeights, known_token_rows, pooled_vectors

WEIGHTS = WordWeights(
    {"ghost": 0, "saloon": 1, "piano": 2}, np.array([[2, 0], [0, 3], [-1, 0]], np.float32)
)


def test_a_vector_is_the_sum_of_its_words_directions_over_the_root_of_their_number():
    once, twice, more = pooled_vectors(WEIGHTS, ["ghost", "saloon ghost", "ghost x ghost saloon"])
    assert once.tolist() == [1, 0]
    assert twice == pytest.approx([0.5**0.5, 0.5**0.5])
    assert more == pytest.approx([2 / 3**0.5, 1 / 3**0.5])


def test_the_order_of_words_and_the_documents_beside_do_not_matter():
    (alone,) = pooled_vectors(WEIGHTS, ["piano saloon"])
    beside = pooled_vectors(WEIGHTS, ["ghost", "saloon piano", ""])
    assert np.array_equal(alone, beside[1])


def test_a_document_of_unknown_words_gets_the_mean_direction():
    nobody, nothing = pooled_vectors(WEIGHTS, ["nobody knows", ""])
    assert nobody == pytest.approx([0, 1 / 3])
    assert np.array_equal(nobody, nothing)


def test_known_words_are_counted_as_often_as_they_occur():
    assert known_token_rows(WEIGHTS, ["ghost of a ghost", "x"]) == [[0, 0], []]
