import numpy as np
import pyarrow as pa
import pytest

from tasks.genres.evaluation import (
    confident_errors,
    f1_intervals,
    genre_table,
    predictions_table,
    slice_table,
    slice_values,
)

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], np.uint8)
SAID = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.2], [0.1, 0.9, 0.3]], np.float32)
HALF = np.full(3, 0.5, np.float32)
CLASSES = ["A", "B", "C"]


def movies(count: int, **columns: list) -> pa.Table:
    rows = {
        "id": list(range(count)),
        "title": [f"Movie {n}" for n in range(count)],
        "overview": ["a few words"] * count,
        "genres": [["A"]] * count,
        "year": [1999] * count,
        "language": ["en"] * count,
    }
    return pa.table(rows | columns)


def test_a_genre_without_a_test_movie_has_no_score():
    rows = genre_table(LABELS, SAID, HALF, CLASSES).to_pylist()
    assert [row["support"] for row in rows] == [2, 2, 0]
    assert rows[0]["f1"] == 1.0
    assert rows[2]["f1"] is None
    assert rows[2]["average_precision"] is None
    assert rows[2]["threshold"] == 0.5


def test_predictions_name_the_genres_over_their_thresholds():
    table = pa.table({"id": [1], "title": ["Alien"], "genres": [["A"]]})
    (row,) = predictions_table(table, SAID[1:2], HALF, CLASSES).to_pylist()
    assert row["actual_genres"] == ["A"]
    assert row["predicted_genres"] == ["A", "B"]
    assert row["probabilities"] == pytest.approx([0.8, 0.7, 0.2])


def test_a_model_that_is_always_right_is_surely_better_than_one_that_never_is():
    labels = np.tile(LABELS, (20, 1))
    found = f1_intervals(labels, labels, 1 - labels, "test")
    assert found["test_f1_micro_low"] == found["test_f1_macro_high"] == 1.0
    assert found["test_f1_micro_over_tfidf_low"] > 0.5
    same = f1_intervals(labels, labels, labels, "test")
    assert same["test_f1_macro_over_tfidf_low"] == same["test_f1_macro_over_tfidf_high"] == 0


def test_every_movie_falls_into_one_slice_of_each_kind():
    table = movies(
        3,
        year=[1994, None, 2003],
        language=["fr", None, "en"],
        overview=["word " * 20, "word " * 19, "word " * 80],
        genres=[["A"], ["A", "B", "C", "D", "E"], ["A", "B"]],
    )
    assert slice_values(table) == {
        "decade": ["1990s", "unknown", "2000s"],
        "overview words": ["from 20", "up to 20", "from 80"],
        "number of genres": ["1", "4+", "2"],
        "language": ["fr", "unknown", "en"],
    }


def test_small_slices_are_scored_together():
    labels = np.ones((50, 1), np.uint8)
    guess = np.r_[np.ones((25, 1)), np.zeros((25, 1))].astype(np.uint8)
    table = movies(50, language=["en"] * 25 + ["fr"] * 15 + ["de"] * 10)
    rows = slice_table(table, labels, guess).to_pylist()
    languages = {row["value"]: row for row in rows if row["slice"] == "language"}
    assert {name: row["movies"] for name, row in languages.items()} == {"en": 25, "other": 25}
    assert languages["en"]["f1_micro"] == 1
    assert languages["other"]["f1_macro"] == 0
    for kind in {row["slice"] for row in rows}:
        assert sum(row["movies"] for row in rows if row["slice"] == kind) == 50


def test_mistakes_come_surest_first_and_right_answers_never():
    said = np.array([[0.9, 0.1, 0.1], [0.01, 0.7, 0.2], [0.6, 0.9, 0.3]], np.float32)
    rows = confident_errors(movies(3), LABELS, said, HALF, CLASSES).to_pylist()
    assert [(row["title"], row["genre"], row["carries_it"]) for row in rows] == [
        ("Movie 1", "A", True),
        ("Movie 2", "A", False),
    ]
    assert rows[0]["probability"] == pytest.approx(0.01)
    assert rows[0]["overview"] == "a few words"


def test_a_model_without_mistakes_has_an_empty_table():
    assert confident_errors(movies(3), LABELS, SAID, HALF, CLASSES).num_rows == 0
