import numpy as np
import pyarrow as pa
import pytest

from tasks.recommend.index_features import count_terms, genre_features
from tests.index_rows import TITLES, rows


def test_probabilities_replace_the_genres_of_unlabelled_movies_alone():
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.2, 0.9], [0.3, 0.6]], np.float32)
    assert genre_features(labels, probabilities).tolist() == [
        [1, 0],
        [pytest.approx(0.3), pytest.approx(0.6)],
    ]


def test_document_frequencies_count_a_word_once_per_movie():
    movies = {"title": ["Ghost Ship"], "vote_count": [None], "document": ["ghost ghost sea a_b"]}
    words, titles, priors, count = count_terms([pa.table(movies), pa.table(movies)])
    assert words == {"ghost": 2, "sea": 2}
    assert titles == {"ghost": 2, "ship": 2}
    assert (priors, count) == ([], 2)


def test_index_rows_have_unit_vectors_and_weights():
    table = rows(TITLES)
    for column in ("content", "genre_vector", "words_weights"):
        norms = [np.linalg.norm(values) for values in table[column].to_pylist()]
        assert norms == pytest.approx([1] * len(TITLES))


def test_index_rows_of_training_are_not_marked_as_refreshed():
    assert rows(["Alien"])["refreshed"].to_pylist() == [False]
