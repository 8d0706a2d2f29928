"""The data of each figure -> its text alternative: what it shows, with its numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.contracts import StageTime
from tasks.reports.texts.metric_names import METRIC_NAMES, SCORER_NAMES, lower_first

Floats = NDArray[np.floating[Any]]
SHOWN = 3  # items named at each end of an order
ScorerRows = Mapping[tuple[str, str], Mapping[str, Any]]  # by scorer and metric


def genre_bars_text(classes: Sequence[str], f1: Floats, baseline: Floats) -> str:
    """F1 of the best and the worst genres, and how many are better than with TF-IDF.

    The arrays have a value per class; NaN for a genre without test movies.
    """
    scores = {name: float(value) for name, value in zip(classes, f1, strict=True)}
    order = _ranked({name: value for name, value in scores.items() if not np.isnan(value)})
    better, total = int((f1 > baseline).sum()), int((~np.isnan(f1)).sum())
    return f"F1 by genre. {_ends(order)} Higher than TF-IDF in {better} of {total} genres."


def threshold_text(grid: Floats, f1: Floats, tuned: Floats) -> str:
    """The best global threshold, and the range of those in use."""
    best = int(np.argmax(f1))
    return (
        f"F1, precision and recall by threshold. F1 is highest, {f1[best]:.3f}, at "
        f"{grid[best]:.2f}. The thresholds in use are from {tuned.min():.2f} to {tuned.max():.2f}."
    )


def reliability_text(mean_probability: Floats, positive_share: Floats, error: float) -> str:
    """Predicted and observed shares of each bin, and the calibration error."""
    pairs = [
        f"{predicted:.0%} predicted, {share:.0%} correct"
        for predicted, share in zip(mean_probability, positive_share, strict=True)
    ]
    return f"Correct predictions by predicted probability: {'; '.join(pairs)}. Error {error:.3f}."


def precision_recall_text(average_precision: Mapping[str, float]) -> str:
    """Average precision of the best and the worst genres."""
    order = _ranked(average_precision)
    return f"Precision by recall, a panel per genre, with its average precision. {_ends(order)}"


def cooccurrence_text(true: Floats, predicted: Floats, classes: Sequence[str]) -> str:
    """The most frequent pairs of genres in the true labels, beside the predictions.

    The arrays are (n_genres, n_genres), with NaN on the diagonal.
    """
    order = np.argsort(-np.nan_to_num(true), axis=None)[:SHOWN]
    pairs = [
        f"{true[row, column]:.0%} of {classes[row]} movies are {classes[column]} "
        f"(predicted: {predicted[row, column]:.0%})"
        for row, column in zip(*np.unravel_index(order, true.shape), strict=True)
    ]
    return f"Shares of movies that have two genres. Most frequent: {'; '.join(pairs)}."


def training_text(classifier: Sequence[Mapping[str, Any]], drift: Sequence[float]) -> str:
    """First and last value of each training curve."""
    first, last = classifier[0], classifier[-1]
    curves = {
        "training loss": (first["train_loss"], last["train_loss"]),
        "validation loss": (first["val_loss"], last["val_loss"]),
        "F1 on validation": (first["val_f1_micro"], last["val_f1_micro"]),
    }
    parts = [f"{name} from {a:.3f} to {b:.3f}" for name, (a, b) in curves.items()]
    changes = f"from {drift[0]:.3f} to {drift[-1]:.3f} in {len(drift)} epochs"
    return (
        f"Classifier, {len(classifier)} epochs: {', '.join(parts)}. "
        f"Change of Doc2Vec's word weights {changes}."
    )


def text_lengths_text(lengths: Sequence[int], counts: Sequence[int], longest: int) -> str:
    """Median length of the documents, and how many words of the vocabulary are rare."""
    rare = sum(count < 10 for count in counts)
    return (
        f"Half of the {len(lengths):,} documents have at most {np.median(lengths):.0f} words, "
        f"99% at most {longest}. The vocabulary has {len(counts):,} words; {rare:,} of them occur "
        "fewer than 10 times."
    )


def relevance_text(rows: ScorerRows, metrics: Sequence[str]) -> str:
    """For each judgement, the score of this run with its interval, and those of the baselines."""
    return " ".join(_judgement_text(rows, metric) for metric in metrics)


def _judgement_text(rows: ScorerRows, metric: str) -> str:
    values = {
        name: f"{name} {rows[scorer, metric]['value']:.3f}" for scorer, name in SCORER_NAMES.items()
    }
    ours = rows["ours", metric]
    if ours["low"] is not None:
        values["this run"] += f" ({ours['low']:.3f} to {ours['high']:.3f})"
    return f"{METRIC_NAMES[metric].words}: {'; '.join(values.values())}."


def relevance_popularity_text(rows: ScorerRows, headline: str) -> str:
    """Relevance and share of the most frequent movies of each scorer."""
    points = [
        f"{name} {rows[scorer, headline]['value']:.3f} and {share['value']:.1%}"
        for scorer, name in SCORER_NAMES.items()
        for share in [rows[scorer, "top20_share"]]
    ]
    words = lower_first(METRIC_NAMES[headline].words)
    return f"By scorer, {words}, and share of 20 movies: {'; '.join(points)}."


def drift_text(bins: Sequence[Mapping[str, Any]]) -> str:
    """The largest differences between both sources.

    `bins` have distribution, bin, before and now.
    """
    order = sorted(bins, key=lambda row: -abs(row["now"] - row["before"]))[:SHOWN]
    parts = [
        f"{row['distribution']} {row['bin']}: {row['before']:.1%} in the champion's source, "
        f"{row['now']:.1%} in this one"
        for row in order
    ]
    return f"Largest differences between the sources: {'; '.join(parts)}."


def map_text(genres: Sequence[str], shown: Sequence[str]) -> str:
    """Number of movies on the map, by the genres that are coloured."""
    counts = Counter(genres)
    parts = [f"{name} {counts[name]:,}" for name in shown]
    other = len(genres) - sum(counts[name] for name in shown)
    return f"Map of {len(genres):,} movies by first genre: {', '.join(parts)}, other {other:,}."


def stages_text(stages: Sequence[StageTime]) -> str:
    """Length of the run and its longest stages."""
    longest = _ranked({stage.name: stage.seconds for stage in stages})[:SHOWN]
    parts = [f"{name} {value:.1f} s" for name, value in longest]
    end = max(stage.spans[-1][1] for stage in stages)
    return f"{len(stages)} stages in {end:.1f} seconds. Longest: {', '.join(parts)}."


def _ranked(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """Names and values, highest first."""
    return sorted(values.items(), key=lambda item: -item[1])


def _ends(order: Sequence[tuple[str, float]]) -> str:
    """The first and the last items of an order, in words."""
    first = ", ".join(f"{name} {value:.2f}" for name, value in order[:SHOWN])
    last = ", ".join(f"{name} {value:.2f}" for name, value in order[SHOWN:][-SHOWN:])
    return f"Highest: {first}; lowest: {last}." if last else f"Highest: {first}."
