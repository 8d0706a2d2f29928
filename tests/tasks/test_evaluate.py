import math

import numpy as np
import pyarrow as pa
import pytest

from tasks.contracts import UserError
from tasks.evaluate import (
    EvaluateConfig,
    Split,
    baseline_scores,
    genre_table,
    predictions_table,
    prior_baseline,
    scores,
    splits_of,
    tfidf_baseline,
)
from tests.conftest import THEMES

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], np.uint8)
RIGHT = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.2], [0.1, 0.9, 0.3]], np.float32)
HALF = np.full(3, 0.5, np.float32)


def test_perfect_predictions_score_one_under_their_protocol():
    found = scores(LABELS, RIGHT, HALF, "test")
    for name in ("f1_micro", "f1_macro", "f1_samples", "precision_micro", "recall_micro"):
        assert found[f"test_{name}"] == 1.0
    assert found["test_hamming_loss"] == 0.0
    assert found["test_average_precision_macro"] == 1.0


def test_scores_match_a_count_by_hand():
    guess = np.array([[0.9, 0.9, 0.1], [0.8, 0.2, 0.2], [0.1, 0.9, 0.3]], np.float32)
    found = scores(LABELS, guess, HALF, "test")
    assert found["test_precision_micro"] == pytest.approx(3 / 4)
    assert found["test_recall_micro"] == pytest.approx(3 / 4)
    assert found["test_f1_macro"] == pytest.approx((1 + 0.5) / 2)
    assert found["test_hamming_loss"] == pytest.approx(2 / 9)


def test_no_score_is_ever_undefined():
    found = scores(LABELS[:1], np.zeros((1, 3), np.float32), HALF, "test")
    assert all(math.isfinite(value) for value in found.values())
    certain = scores(LABELS, (1 - LABELS).astype(np.float32), HALF, "test")
    assert all(math.isfinite(value) for value in certain.values())


def test_a_genre_without_a_test_movie_has_no_score():
    rows = genre_table(LABELS, RIGHT, HALF, ["A", "B", "C"]).to_pylist()
    assert [row["support"] for row in rows] == [2, 2, 0]
    assert rows[0]["f1"] == 1.0
    assert rows[2]["f1"] is None
    assert rows[2]["average_precision"] is None
    assert rows[2]["threshold"] == 0.5


def themed(count: int) -> Split:
    words = list(THEMES.values())
    texts = [" ".join(words[n % 3][n % 4 : n % 4 + 4]) for n in range(count)]
    return Split(texts, np.eye(3, dtype=np.uint8)[np.arange(count) % 3])


def test_the_tfidf_baseline_learns_words_of_a_genre():
    found = tfidf_baseline(themed(60), themed(30), themed(30), EvaluateConfig())
    assert found["baseline_tfidf_f1_micro"] > 0.95
    assert set(found) == {"baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro"}


def test_a_baseline_without_words_is_refused():
    empty = Split(["the", "of"], np.eye(3, dtype=np.uint8)[:2])
    with pytest.raises(UserError, match="finds no words"):
        tfidf_baseline(empty, empty, empty, EvaluateConfig())


def test_the_prior_baseline_gives_everyone_the_most_frequent_genre():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.uint8)
    split = Split([""] * 4, labels)
    found = prior_baseline(split, split, split)
    assert found["baseline_prior_f1_micro"] == pytest.approx(2 * (5 / 8) / (5 / 8 + 1))


def test_a_baseline_is_tuned_on_validation_and_not_on_test():
    tuning = np.array([[1, 0], [0, 1]], np.uint8)
    on_tuning = np.array([[0.6, 0.1], [0.1, 0.6]], np.float32)
    on_test = np.array([[0.5, 0.1], [0.1, 0.5]], np.float32)
    found = baseline_scores("x", tuning, on_tuning, tuning, on_test)
    assert found["baseline_x_f1_micro"] == 0.0


def test_splits_keep_labelled_movies_apart():
    names = ["train", "test", "validation", "train"]
    table = pa.table({"title": list("abcd"), "overview": list("wxyz"), "split": names})
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    found = splits_of(table, labels)
    assert found["train"].texts == ["w a"]
    assert found["test"].texts == ["x b"]
    with pytest.raises(UserError, match="in the test split"):
        splits_of(table, labels * np.array([[1], [0], [1], [1]], np.uint8))


def test_predictions_name_the_genres_over_their_thresholds():
    movies = pa.table({"id": [1], "title": ["Alien"], "genres": [["A"]]})
    (row,) = predictions_table(movies, RIGHT[1:2], HALF, ["A", "B", "C"]).to_pylist()
    assert row["actual_genres"] == ["A"]
    assert row["predicted_genres"] == ["A", "B"]
    assert row["probabilities"] == pytest.approx([0.8, 0.7, 0.2])
