"""Labels and probabilities -> thresholds and scores, the same for models and baselines.

Everywhere `labels` is an indicator matrix (n_documents, n_genres) of zeros and ones, and
`probabilities` has its shape.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    hamming_loss,
    log_loss,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from tasks.core.contracts import UserError

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.floating[Any]]
Protocol = Literal["held-out", "blog"]
PREFIX: dict[Protocol, str] = {"held-out": "test", "blog": "blog"}
CALIBRATION_BINS = 15
RESAMPLES = 1000
Resampled = dict[str, NDArray[np.floating[Any]]]


class ThresholdResult(NamedTuple):
    """The probability threshold with the highest micro F1, and that F1."""

    threshold: float
    f1: float


def find_best_threshold(labels: Labels, probabilities: Probabilities) -> ThresholdResult:
    """The one threshold for all genres.

    Raises:
        UserError: no document carries a learnt genre, so there is nothing to tune on.
    """
    if not labels.any():
        raise UserError("No validation movie carries a learnt genre: give more movies.")
    precision, recall, thresholds = precision_recall_curve(labels.ravel(), probabilities.ravel())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = np.argmax(f1[:-1])
    return ThresholdResult(float(thresholds[best]), float(f1[best]))


def tuned_thresholds(
    labels: Labels,
    probabilities: Probabilities,
    fixed: float | None = None,
    support: int | None = None,
) -> Probabilities:
    """A threshold a genre, (n_genres,): `fixed`, or the best one for all genres together.

    With `support`, a genre that at least so many documents carry gets the one that is best for
    its own F1.
    """
    overall = fixed or find_best_threshold(labels, probabilities).threshold
    thresholds = np.full(labels.shape[1], overall, np.float32)
    if fixed or support is None:
        return thresholds
    for genre in np.flatnonzero(labels.sum(axis=0) >= support):
        column = slice(genre, genre + 1)
        thresholds[genre] = find_best_threshold(
            labels[:, column], probabilities[:, column]
        ).threshold
    return thresholds


def apply_thresholds(probabilities: Probabilities, thresholds: Probabilities) -> Labels:
    """What a model says: 1 where a genre's probability reaches its threshold."""
    return (probabilities >= thresholds).astype(np.uint8)


def multilabel_scores(
    labels: Labels, probabilities: Probabilities, thresholds: Probabilities, prefix: str
) -> dict[str, float]:
    """Multilabel scores of documents that each carry a learnt genre, named `prefix_…`.

    Macro scores average over the genres that occur in these documents: without one, a genre's
    recall is undefined.
    """
    present = labels.any(axis=0)
    guess = apply_thresholds(probabilities, thresholds)
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    values = {
        "f1_micro": micro_f1(labels, guess),
        "f1_macro": macro_f1(labels, guess),
        "f1_samples": samples_f1(labels, guess),
        "precision_micro": precision_score(labels.ravel(), guess.ravel(), zero_division=0),
        "recall_micro": recall_score(labels.ravel(), guess.ravel(), zero_division=0),
        "average_precision_macro": average_precision_score(
            labels[:, present], probabilities[:, present], average="macro"
        ),
        "hamming_loss": hamming_loss(labels.ravel(), guess.ravel()),
        "loss": log_loss(labels.ravel(), clipped.ravel(), labels=[0, 1]),
        "calibration_error": calibration_error(labels, probabilities),
    }
    return {f"{prefix}_{name}": float(value) for name, value in values.items()}


def micro_f1(labels: Labels, guess: Labels) -> float:
    """F1 of all genres' answers together."""
    return float(f1_score(labels.ravel(), guess.ravel(), zero_division=0))


def samples_f1(labels: Labels, guess: Labels) -> float:
    """Mean F1 of the documents' answers; 0 where a document has no genre and gets none."""
    both = labels.sum(axis=1, dtype=np.int64) + guess.sum(axis=1, dtype=np.int64)
    return float((2 * (labels & guess).sum(axis=1) / np.maximum(both, 1)).mean())


class PerGenreScores(NamedTuple):
    """Scores of each genre, (n_genres,) each; zero where they are undefined.

    scikit-learn takes a matrix of one column for binary labels, and scores its two classes.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def per_genre_scores(labels: Labels, guess: Labels) -> PerGenreScores:
    """Precision, recall, F1 and support of each genre."""
    hits, said, support = (of.sum(axis=0, dtype=np.int64) for of in (labels & guess, guess, labels))
    return PerGenreScores(
        hits / np.maximum(said, 1),
        hits / np.maximum(support, 1),
        2 * hits / np.maximum(said + support, 1),
        support,
    )


def macro_f1(labels: Labels, guess: Labels) -> float:
    """Mean F1 of the genres that occur in `labels`."""
    present = labels.any(axis=0)
    return float(per_genre_scores(labels, guess).f1[present].mean())


def calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Expected calibration error over all genres (Guo et al., 2017), 0 to 1, in 15 equal bins.

    The mean distance between the share of right genres in a bin and its mean probability, a bin
    counting as much as it holds.
    """
    flat = probabilities.ravel().astype(np.float64)
    which = np.minimum((flat * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    hits = np.bincount(which, labels.ravel(), CALIBRATION_BINS)
    said = np.bincount(which, flat, CALIBRATION_BINS)
    return float(np.abs(hits - said).sum() / len(flat))


def bootstrap_f1(labels: Labels, guess: Labels, seed: int = 0) -> Resampled:
    """`micro` and `macro` F1 of bootstrap samples of the documents, (RESAMPLES,) each.

    Equal seeds draw the same documents, so the difference of two models' arrays is paired. Macro
    averages over the genres that occur in `labels` at all.
    """
    rng, present = np.random.default_rng(seed), labels.any(axis=0)
    right, either = (labels & guess).astype(np.float32), labels.astype(np.float32) + guess
    micro, macro = [], []
    for _ in range(RESAMPLES):
        times = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)))
        hits, marks = times @ right, times @ either
        micro.append(2 * hits.sum() / max(marks.sum(), 1))
        macro.append((2 * hits[present] / np.maximum(marks[present], 1)).mean())
    return {"micro": np.array(micro), "macro": np.array(macro)}


def bootstrap_interval(values: NDArray[np.floating[Any]], name: str) -> dict[str, float]:
    """The middle 95% of bootstrap values as `name_low` and `name_high`."""
    low, high = np.quantile(values, [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}
