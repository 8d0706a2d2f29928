import numpy as np
import pyarrow as pa
import pytest

from tasks.genres.evaluation.tables import (
    PredictedMovies,
    confident_errors,
    genre_table,
    predictions_table,
    slice_table,
    slice_values,
)

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], np.uint8)
PROBABILITIES = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.2], [0.1, 0.9, 0.3]], np.float32)
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


def predicted(table: pa.Table, labels: np.ndarray, probabilities: np.ndarray) -> PredictedMovies:
    """Movies of three genres with a threshold of 0.5 for each."""
    return PredictedMovies(table, labels, probabilities, thresholds=HALF, classes=CLASSES)


def test_scores_of_a_genre_without_test_movies_are_null():
    rows = genre_table(predicted(movies(3), LABELS, PROBABILITIES)).to_pylist()
    assert [row["support"] for row in rows] == [2, 2, 0]
    assert rows[0]["f1"] == 1.0
    assert rows[2]["f1"] is None
    assert rows[2]["average_precision"] is None
    assert rows[2]["threshold"] == 0.5


def test_predicted_genres_are_those_above_their_thresholds():
    table = pa.table({"id": [1], "title": ["Alien"], "genres": [["A"]]})
    movie = predicted(table, LABELS[1:2], PROBABILITIES[1:2])
    films, others = np.array([7], np.int32), {"tfidf": np.array([[0, 0, 1]], np.uint8)}
    (row,) = predictions_table(movie, films, others).to_pylist()
    assert row["film"] == 7
    assert row["actual_genres"] == ["A"]
    assert row["predicted_genres"] == ["A", "B"]
    assert row["tfidf_genres"] == ["C"]
    assert row["probabilities"] == pytest.approx([0.8, 0.7, 0.2])


def test_every_movie_is_in_one_slice_of_each_kind():
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
    predictions = np.r_[np.ones((25, 1)), np.zeros((25, 1))].astype(np.uint8)
    table = movies(50, language=["en"] * 25 + ["fr"] * 15 + ["de"] * 10)
    rows = slice_table(table, labels, predictions).to_pylist()
    languages = {row["value"]: row for row in rows if row["slice"] == "language"}
    assert {name: row["movies"] for name, row in languages.items()} == {"en": 25, "other": 25}
    assert languages["en"]["f1_micro"] == 1
    assert languages["other"]["f1_macro"] == 0
    for kind in {row["slice"] for row in rows}:
        assert sum(row["movies"] for row in rows if row["slice"] == kind) == 50


def test_errors_are_ordered_by_distance_from_the_truth():
    probabilities = np.array([[0.9, 0.1, 0.1], [0.01, 0.7, 0.2], [0.6, 0.9, 0.3]], np.float32)
    rows = confident_errors(predicted(movies(3), LABELS, probabilities)).to_pylist()
    assert [(row["title"], row["genre"], row["carries_it"]) for row in rows] == [
        ("Movie 1", "A", True),
        ("Movie 2", "A", False),
    ]
    assert rows[0]["probability"] == pytest.approx(0.01)
    assert rows[0]["overview"] == "a few words"


def test_perfect_predictions_have_no_errors():
    assert confident_errors(predicted(movies(3), LABELS, PROBABILITIES)).num_rows == 0
