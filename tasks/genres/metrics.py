"""Labels and probabilities -> decision thresholds and scores, of models and baselines alike.

`labels` and `predictions` are indicator matrices (n_documents, n_genres) of zeros and ones;
`probabilities` has the same shape, `thresholds` is (n_genres,).
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
BOOTSTRAP_SAMPLES = 1000
Films = NDArray[np.int32]
BootstrapScores = dict[str, NDArray[np.floating[Any]]]


class ThresholdResult(NamedTuple):
    """The probability threshold with the highest micro F1, and that F1."""

    threshold: float
    f1: float


def find_best_threshold(labels: Labels, probabilities: Probabilities) -> ThresholdResult:
    """The single threshold for all genres with the highest micro F1.

    Raises:
        UserError: no document has a learned genre, so no threshold can be tuned.
    """
    if not labels.any():
        raise UserError("No validation movie has a learned genre: add movies.")
    precision, recall, thresholds = precision_recall_curve(labels.ravel(), probabilities.ravel())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = np.argmax(f1[:-1])
    return ThresholdResult(float(thresholds[best]), float(f1[best]))


def expected_best_f1(probabilities: Probabilities) -> float:
    """The highest F1 that a threshold is expected to reach where these probabilities are true."""
    ranked = np.sort(probabilities.ravel().astype(np.float64))[::-1]
    f1 = 2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + ranked.sum())
    return float(f1.max())


def tune_thresholds(
    labels: Labels,
    probabilities: Probabilities,
    fixed: float | None = None,
    calibrated: bool = True,
) -> Probabilities:
    """Thresholds (n_genres,): `fixed`, or those for a high micro and macro F1.

    The best threshold of probabilities that are calibrated, or nearly so, is half the best F1
    (Lipton, Elkan and Naryanaswamy, 2014): that of all pairs for micro F1, that of a genre for the
    genre's F1. Each genre gets the mean of the two. Half the F1 varies less from sample to sample
    than the threshold at which it is reached; a genre's F1 is that which its probabilities predict,
    since few movies have a rare genre. Otherwise all genres get the threshold of the best micro F1.

    Raises:
        UserError: no document has a learned genre, so no threshold can be tuned.
    """
    n_genres = labels.shape[1]
    if fixed:
        return np.full(n_genres, fixed, np.float32)
    overall = find_best_threshold(labels, probabilities)
    if not calibrated:
        return np.full(n_genres, overall.threshold, np.float32)
    genre_f1 = np.array([expected_best_f1(column) for column in probabilities.T], np.float32)
    thresholds: Probabilities = (overall.f1 / 2 + genre_f1 / 2) / 2
    return thresholds


def apply_thresholds(probabilities: Probabilities, thresholds: Probabilities) -> Labels:
    """Predictions: 1 where the probability of a genre is at least its threshold."""
    return (probabilities >= thresholds).astype(np.uint8)


def multilabel_scores(
    labels: Labels, probabilities: Probabilities, thresholds: Probabilities, prefix: str
) -> dict[str, float]:
    """Multilabel scores, named `prefix_…`, of documents that each have a learned genre.

    Macro scores average over the genres that occur in `labels`: the recall of the others is
    undefined.
    """
    present = labels.any(axis=0)
    predictions = apply_thresholds(probabilities, thresholds)
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    values = {
        "f1_micro": micro_f1(labels, predictions),
        "f1_macro": macro_f1(labels, predictions),
        "f1_samples": samples_f1(labels, predictions),
        "precision_micro": precision_score(labels.ravel(), predictions.ravel(), zero_division=0),
        "recall_micro": recall_score(labels.ravel(), predictions.ravel(), zero_division=0),
        "average_precision_macro": average_precision_score(
            labels[:, present], probabilities[:, present], average="macro"
        ),
        "average_precision_micro": average_precision_score(labels.ravel(), probabilities.ravel()),
        "hamming_loss": hamming_loss(labels.ravel(), predictions.ravel()),
        "loss": log_loss(labels.ravel(), clipped.ravel(), labels=[0, 1]),
        "calibration_error": calibration_error(labels, probabilities),
    }
    return {f"{prefix}_{name}": float(value) for name, value in values.items()}


def micro_f1(labels: Labels, predictions: Labels) -> float:
    """F1 of all (document, genre) pairs together."""
    return float(f1_score(labels.ravel(), predictions.ravel(), zero_division=0))


def samples_f1(labels: Labels, predictions: Labels) -> float:
    """Mean F1 per document; 0 for a document without true and predicted genres."""
    positives = labels.sum(axis=1, dtype=np.int64) + predictions.sum(axis=1, dtype=np.int64)
    return float((2 * (labels & predictions).sum(axis=1) / np.maximum(positives, 1)).mean())


class PerGenreScores(NamedTuple):
    """Scores per genre, (n_genres,) each; zero where they are undefined.

    Not computed with scikit-learn, which treats a matrix with a single column as binary labels and
    scores two classes.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def per_genre_scores(labels: Labels, predictions: Labels) -> PerGenreScores:
    """Precision, recall, F1 and support of each genre."""
    true_positives = (labels & predictions).sum(axis=0, dtype=np.int64)
    predicted = predictions.sum(axis=0, dtype=np.int64)
    support = labels.sum(axis=0, dtype=np.int64)
    return PerGenreScores(
        precision=true_positives / np.maximum(predicted, 1),
        recall=true_positives / np.maximum(support, 1),
        f1=2 * true_positives / np.maximum(predicted + support, 1),
        support=support,
    )


def macro_f1(labels: Labels, predictions: Labels) -> float:
    """Mean F1 of the genres that occur in `labels`."""
    present = labels.any(axis=0)
    return float(per_genre_scores(labels, predictions).f1[present].mean())


def calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Expected calibration error over all genres (Guo et al., 2017), 0 to 1, in 15 equal bins.

    The mean distance between the share of positives in a bin and its mean probability, weighted by
    the size of the bin.
    """
    flat = probabilities.ravel().astype(np.float64)
    bins = np.minimum((flat * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    positives = np.bincount(bins, labels.ravel(), CALIBRATION_BINS)
    expected_positives = np.bincount(bins, flat, CALIBRATION_BINS)
    return float(np.abs(positives - expected_positives).sum() / len(flat))


def bootstrap_f1(
    labels: Labels, predictions: Labels, films: Films | None = None, seed: int = 0
) -> BootstrapScores:
    """`micro` and `macro` F1 of bootstrap samples of the documents, (BOOTSTRAP_SAMPLES,) each.

    Documents of a film, which `films` (n_documents,) numbers, are drawn together. Equal seeds draw
    the same documents, so the difference of two models' arrays is paired. Macro averages over the
    genres that occur in `labels`.
    """
    rng, present = np.random.default_rng(seed), labels.any(axis=0)
    true_positives = _sum_by_film((labels & predictions).astype(np.float32), films)
    positives = _sum_by_film(labels.astype(np.float32) + predictions, films)
    shares = np.full(len(positives), 1 / len(positives))
    micro, macro = [], []
    for _ in range(BOOTSTRAP_SAMPLES):
        repeats = rng.multinomial(len(positives), shares)
        hits, totals = repeats @ true_positives, repeats @ positives
        micro.append(2 * hits.sum() / max(totals.sum(), 1))
        macro.append((2 * hits[present] / np.maximum(totals[present], 1)).mean())
    return {"micro": np.array(micro), "macro": np.array(macro)}


def _sum_by_film(counts: Probabilities, films: Films | None) -> Probabilities:
    """Sums (n_films, n_genres) of counts (n_documents, n_genres); unchanged without films."""
    if films is None:
        return counts
    names, rows = np.unique(films, return_inverse=True)
    sums = np.zeros((len(names), counts.shape[1]), counts.dtype)
    np.add.at(sums, rows, counts)
    return sums


def bootstrap_interval(values: NDArray[np.floating[Any]], name: str) -> dict[str, float]:
    """The 95% interval (percentiles) of bootstrap values as `name_low` and `name_high`."""
    low, high = np.quantile(values, [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}
