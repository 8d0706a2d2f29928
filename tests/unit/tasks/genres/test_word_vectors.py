import numpy as np
import pytest

from tasks.genres import word_vectors
from tasks.genres.word_vectors import (
    WordVectors,
    load_word_vectors,
    save_word_vectors,
    sum_word_vectors,
    word_numbers,
)

ROWS = {"war": 0, "ghost": 1, "love": 2}
WORDS = WordVectors(ROWS, np.array([[1, 0], [0, 2], [-1, 4]], np.float32))


def test_words_are_numbered_from_one_and_filled_up_with_zeros():
    numbers = word_numbers(ROWS, ["ghost unknown war ghost", "", "love"])
    assert numbers.tolist() == [[2, 1, 2], [0, 0, 0], [3, 0, 0]]
    assert numbers.dtype == np.int32
    assert word_numbers(ROWS, ["unknown"]).shape == (1, 0)
    assert word_numbers(ROWS, []).shape == (0, 0)


def test_a_document_has_a_limited_number_of_words(monkeypatch):
    monkeypatch.setattr(word_vectors, "MAX_WORDS", 2)
    vectors = sum_word_vectors(WORDS, ["unknown ghost war love", "love"])
    assert vectors == pytest.approx(np.array([[1 / 2**0.5, 2 / 2**0.5], [-1, 4]]))
    assert word_numbers(ROWS, ["unknown ghost war love", "love"]).tolist() == [[2, 1], [3, 0]]


def test_a_documents_vector_is_the_sum_of_its_words_over_the_root_of_their_number():
    vectors = sum_word_vectors(WORDS, ["ghost unknown war ghost ghost", "unknown", "love"])
    assert vectors == pytest.approx(np.array([[0.5, 3], [0, 0], [-1, 4]]))
    assert vectors.dtype == np.float32
    assert sum_word_vectors(WORDS, []).shape == (0, 2)


def test_stored_word_vectors_are_read_again(tmp_path):
    shuffled = WordVectors({"war": 2, "ghost": 0, "love": 1}, WORDS.vectors)
    save_word_vectors(shuffled, tmp_path)
    loaded = load_word_vectors(tmp_path)
    assert loaded.row_by_word == shuffled.row_by_word
    assert np.array_equal(loaded.vectors, shuffled.vectors)
    assert loaded.vectors.dtype == np.float16


def test_pickled_objects_are_refused(tmp_path):
    save_word_vectors(WORDS, tmp_path)
    np.save(tmp_path / "word_vectors.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):  # a memory map refuses them as well
        load_word_vectors(tmp_path)
