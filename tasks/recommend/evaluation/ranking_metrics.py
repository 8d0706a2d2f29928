"""Recommendation lists -> recall, nDCG, genre precision, coverage, diversity.

Lists are catalogue rows (n_queries, k), best first; -1 fills shorter lists.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.recommend.scoring import Array

BOOTSTRAP_SAMPLES = 1000
Lists = NDArray[np.int64]
RelevantRows = Sequence[NDArray[np.int64]]


def recall_at(lists: Lists, relevant: RelevantRows) -> Array:
    """Recall (n_queries,): share of each query's relevant movies that are in its list."""
    recalls = [np.isin(rows, hits).mean() for hits, rows in zip(lists, relevant, strict=True)]
    return np.array(recalls, np.float32)


def ndcg_at(lists: Lists, relevant: RelevantRows) -> Array:
    """Normalised discounted cumulative gain (n_queries,) with binary relevance.

    Järvelin & Kekäläinen, 2002.
    """
    discount = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    gains = [
        discount[np.isin(hits, rows)].sum() for hits, rows in zip(lists, relevant, strict=True)
    ]
    ideal_gains = [discount[: len(rows)].sum() for rows in relevant]
    return np.array(np.array(gains) / np.array(ideal_gains), np.float32)


def genre_precision(lists: Lists, queries: Sequence[int], genres: Array) -> float:
    """Share of recommended movies that have a genre of their query; `genres` (n, n_genres)."""
    shares_genre = [
        genres[hits[hits >= 0]] @ genres[row] > 0 for row, hits in zip(queries, lists, strict=True)
    ]
    return float(np.concatenate(shares_genre).mean())


def coverage(lists: Lists, n_movies: int) -> float:
    """Share of the catalogue's movies that are in at least one list."""
    return len(np.unique(lists[lists >= 0])) / n_movies


def intra_list_diversity(lists: Lists, content: Array) -> float:
    """Mean of 1 - cosine over the pairs of each list; `content` (n, size) has unit rows."""
    diversities = []
    for hits in lists:
        vectors = content[hits[hits >= 0]]
        if len(vectors) > 1:
            cosine = vectors @ vectors.T
            n_pairs = len(vectors) * (len(vectors) - 1)
            diversities.append(1 - (cosine.sum() - np.trace(cosine)) / n_pairs)
    return float(np.mean(diversities)) if diversities else 0.0


def bootstrap_interval(values: Array, seed: int = 0) -> tuple[float, float]:
    """95% bootstrap interval of the mean of per-query values (n_queries,)."""
    samples = np.random.default_rng(seed).integers(
        len(values), size=(BOOTSTRAP_SAMPLES, len(values))
    )
    low, high = np.quantile(values[samples].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def mean_with_interval(values: Array, name: str) -> dict[str, float]:
    """Metrics `name`, `name_low` and `name_high`: mean and 95% interval; empty without values."""
    if not len(values):
        return {}
    low, high = bootstrap_interval(values)
    return {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
