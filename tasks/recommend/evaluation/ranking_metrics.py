"""Lists of movies -> how good they are: recall, nDCG, genre precision, coverage, diversity.

A list is a row of catalogue rows, best first; -1 fills up shorter ones.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.recommend.scoring import Array

RESAMPLES = 1000
Lists = NDArray[np.int64]


def recall_at(lists: Lists, relevant: Sequence[NDArray[np.int64]]) -> Array:
    """Share of each query's relevant movies that its list holds."""
    found = [np.isin(own, listed).mean() for listed, own in zip(lists, relevant, strict=True)]
    return np.array(found, np.float32)


def ndcg_at(lists: Lists, relevant: Sequence[NDArray[np.int64]]) -> Array:
    """Normalised discounted cumulative gain of each list, every relevant movie worth the same
    (Järvelin & Kekäläinen, 2002)."""
    discount = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    gains = [
        discount[np.isin(listed, own)].sum() for listed, own in zip(lists, relevant, strict=True)
    ]
    ideal = [discount[: len(own)].sum() for own in relevant]
    return np.array(np.array(gains) / np.array(ideal), np.float32)


def genre_precision(lists: Lists, queries: Sequence[int], genres: Array) -> float:
    """Share of listed movies that share a genre with their query."""
    shared = [
        genres[listed[listed >= 0]] @ genres[row] > 0
        for row, listed in zip(queries, lists, strict=True)
    ]
    return float(np.concatenate(shared).mean())


def coverage(lists: Lists, movies: int) -> float:
    """Share of the catalogue that is in some list."""
    return len(np.unique(lists[lists >= 0])) / movies


def intra_list_diversity(lists: Lists, content: Array) -> float:
    """Mean of 1 - cosine over the pairs of each list."""
    found = []
    for listed in lists:
        unit = content[listed[listed >= 0]]
        if len(unit) > 1:
            cosine = unit @ unit.T
            found.append(1 - (cosine.sum() - np.trace(cosine)) / (len(unit) * (len(unit) - 1)))
    return float(np.mean(found)) if found else 0.0


def bootstrap_interval(values: Array, seed: int = 0) -> tuple[float, float]:
    """Middle 95% of the means of bootstrap samples of the queries."""
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def mean_with_interval(values: Array, name: str) -> dict[str, float]:
    """Mean of queries' values with its interval, under a name; nothing where there are none."""
    if not len(values):
        return {}
    low, high = bootstrap_interval(values)
    return {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
