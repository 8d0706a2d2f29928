import logging

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import DocumentsRef, UserError
from tasks.core.storage import store
from tasks.data import labels
from tasks.data.labels import LabelConfig, binarize, label, learnable_genres, require_genres
from tests.support.stored import stored_table


def test_genre_below_support_is_not_learned():
    genres = [["Drama"], ["Drama", "War"], ["Drama"]]
    assert learnable_genres(genres, min_support=2) == ["Drama"]


def test_genre_of_exactly_the_support_is_learned():
    assert learnable_genres([["War"], ["Drama", "War"]], min_support=2) == ["War"]


def test_a_genre_repeated_in_a_row_counts_once():
    assert learnable_genres([["War", "War"]], min_support=2) == []


@given(st.lists(st.lists(st.sampled_from(["Drama", "War", "Comedy"]))))
def test_rows_of_the_matrix_match_the_genre_lists(genres):
    names = ["Comedy", "Drama", "War"]
    matrix = binarize(genres, names)
    assert matrix.shape == (len(genres), 3)
    assert [sorted(set(row)) for row in genres] == [
        [name for name, is_set in zip(names, row, strict=True) if is_set] for row in matrix
    ]


def test_genres_that_are_not_learned_are_ignored():
    assert np.array_equal(binarize([["Foreign"], ["War"]], ["War"]), [[0], [1]])


def test_a_source_without_a_learnable_genre_is_rejected():
    require_genres(["Drama"], 5)
    message = r"has the 5 training .* needs\. Give more movies, or lower --label\.min-support\."
    with pytest.raises(UserError, match=message):
        require_genres([], 5)


def test_genres_are_chosen_on_training_movies_and_all_movies_are_labelled(monkeypatch):
    """Two movies of the validation and the test split are of Westerns, too few to train on."""
    monkeypatch.setattr(labels, "get_run_logger", lambda: logging.getLogger("labels"))
    genres = [["War"], ["War", "Drama"], ["Western", "War"], ["Western"], ["Drama"], ["Western"]]
    splits = ["train", "train", "validation", "test", "train", "train"]
    documents = stored_table(DocumentsRef, pa.table({"genres": genres, "split": splits}))
    ref = label.fn(documents, LabelConfig(min_support=2))
    indicator, names = store.read_labels(ref)
    assert (ref.rows, names) == (6, ["Drama", "War"])
    assert indicator.tolist() == [[0, 1], [1, 1], [0, 1], [0, 0], [1, 0], [0, 0]]
    assert indicator.dtype == np.uint8
    with pytest.raises(UserError, match="No genre has the 3 training movies"):
        label.fn(documents, LabelConfig(min_support=3))
