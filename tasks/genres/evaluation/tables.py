"""Predicted test movies -> tables: scores per genre and per slice, errors and predictions."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from tasks.genres.metrics import (
    Films,
    Labels,
    Probabilities,
    apply_thresholds,
    macro_f1,
    micro_f1,
    per_genre_scores,
)

MIN_SLICE_MOVIES = 20  # smaller slices are scored together as "other"
MAX_ERRORS = 20
LENGTH_BOUNDS = (20, 40, 80)  # words of an overview, lower bounds of the length slices


class PredictedMovies(NamedTuple):
    """Movies (n rows) with true labels and predicted probabilities (n, n_genres).

    `classes` are the names of the genres, `thresholds` (n_genres,) their probability thresholds.
    `left_out` more movies of the split have no learned genre.
    """

    movies: pa.Table
    labels: Labels
    probabilities: Probabilities
    thresholds: Probabilities
    classes: list[str]
    left_out: int = 0

    @property
    def predictions(self) -> Labels:
        """Indicator matrix (n, n_genres) of the predicted genres."""
        return apply_thresholds(self.probabilities, self.thresholds)


def genre_table(predicted: PredictedMovies) -> pa.Table:
    """Support, precision, recall, F1, average precision and threshold, a row per genre.

    The scores of a genre without true labels are undefined: they are null, not zero.
    """
    scores = per_genre_scores(predicted.labels, predicted.predictions)
    undefined = scores.support == 0
    columns = {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "average_precision": _average_precision(predicted.labels, predicted.probabilities),
    }
    return pa.table(
        {"genre": predicted.classes, "support": scores.support}
        | {name: pa.array(values, mask=undefined) for name, values in columns.items()}
        | {"threshold": predicted.thresholds.astype(np.float64)}
    )


def _average_precision(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Average precision per genre, (n_genres,); zero for a genre without true labels."""
    return np.array(
        [
            average_precision_score(labels[:, genre], probabilities[:, genre])
            if labels[:, genre].any()
            else 0.0
            for genre in range(labels.shape[1])
        ]
    )


def slice_values(movies: pa.Table) -> dict[str, list[str]]:
    """The slice of each movie, by kind of slice: decade, overview length, genre count, language."""
    words = [len(text.split()) for text in movies["overview"].to_pylist()]
    length_names = [f"up to {LENGTH_BOUNDS[0]}", *(f"from {bound}" for bound in LENGTH_BOUNDS)]
    years, genres = movies["year"].to_pylist(), movies["genres"].to_pylist()
    return {
        "decade": [f"{year // 10 * 10}s" if year else "unknown" for year in years],
        "overview words": [length_names[index] for index in np.digitize(words, LENGTH_BOUNDS)],
        "number of genres": [str(min(len(names), 4)) + "+" * (len(names) > 3) for names in genres],
        "language": [language or "unknown" for language in movies["language"].to_pylist()],
    }


def slice_table(movies: pa.Table, labels: Labels, predictions: Labels) -> pa.Table:
    """Number of movies, micro and macro F1, a row per slice; small slices become "other"."""
    rows: list[dict[str, Any]] = []
    for kind, values in slice_values(movies).items():
        sizes = Counter(values)
        names = np.array([name if sizes[name] >= MIN_SLICE_MOVIES else "other" for name in values])
        for name in sorted(set(names.tolist()), key=lambda name: (name == "other", name)):
            in_slice = names == name
            row = {"slice": kind, "value": name, "movies": int(in_slice.sum())}
            row["f1_micro"] = micro_f1(labels[in_slice], predictions[in_slice])
            row["f1_macro"] = macro_f1(labels[in_slice], predictions[in_slice])
            rows.append(row)
    return pa.Table.from_pylist(rows)


def confident_errors(predicted: PredictedMovies) -> pa.Table:
    """The wrong predictions furthest from the truth: movie, genre, probability, overview."""
    wrong = predicted.labels != predicted.predictions
    error = np.where(wrong, np.abs(predicted.labels - predicted.probabilities), -1.0)
    worst = np.argsort(-error, axis=None, kind="stable")[: min(MAX_ERRORS, int(wrong.sum()))]
    rows = []
    for row, column in zip(*np.unravel_index(worst, error.shape), strict=True):
        movie = predicted.movies.slice(row, 1).to_pylist()[0]
        rows.append(
            {
                "title": movie["title"],
                "genre": predicted.classes[column],
                "carries_it": bool(predicted.labels[row, column]),
                "probability": float(predicted.probabilities[row, column]),
                "genres": movie["genres"],
                "overview": movie["overview"],
            }
        )
    return pa.Table.from_pylist(rows)


def predictions_table(
    predicted: PredictedMovies, films: Films, others: Mapping[str, Labels]
) -> pa.Table:
    """A row per movie: what it is, its genres, and those that ours and other models predict.

    `films` (n,) numbers the films of the movies. `others` are predictions by the name of a model,
    whose column is `<name>_genres`.
    """
    movies = predicted.movies
    models = {"predicted": predicted.predictions, **others}
    columns = {
        "id": movies["id"],
        "title": movies["title"],
        "film": films,
        "actual_genres": movies["genres"],
        **{f"{name}_genres": genre_names(rows, predicted.classes) for name, rows in models.items()},
        "probabilities": pa.array(list(predicted.probabilities), pa.list_(pa.float32())),
    }
    return pa.table(columns).replace_schema_metadata({"classes": ", ".join(predicted.classes)})


def genre_names(indicator: NDArray[np.uint8], classes: list[str]) -> pa.Array:
    """Rows of an indicator matrix (n, n_genres) as lists of genre names."""
    names = [
        [name for name, present in zip(classes, row, strict=True) if present] for row in indicator
    ]
    return pa.array(names, pa.list_(pa.string()))
