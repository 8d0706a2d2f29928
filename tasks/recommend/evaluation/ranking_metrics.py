"""Ranked lists -> relevance of a list, popularity bias and diversity of many lists.

`Lists` are catalogue rows (n_queries, k), best first; -1 fills shorter lists.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tasks.recommend.scoring import Array

BOOTSTRAP_SAMPLES = 1000
K = 10
DISCOUNT = 1 / np.log2(np.arange(2, K + 2))
Lists = NDArray[np.int64]


def recall(hits: Sequence[int], relevant: NDArray[np.int64]) -> float:
    """Share of a query's relevant rows that are in its list."""
    return float(np.isin(relevant, hits).mean())


def ndcg(hits: Sequence[int], relevant: NDArray[np.int64]) -> float:
    """Normalised discounted cumulative gain at 10 of a list with binary relevance.

    Järvelin & Kekäläinen, 2002.
    """
    gain = DISCOUNT[: len(hits)][np.isin(hits, relevant)].sum()
    return float(gain / DISCOUNT[: len(relevant)].sum())


def graded_ndcg(scores: Array, gains: Array) -> float:
    """nDCG at 10 of the ranking by `scores` (n,) with graded relevance `gains` (n,).

    0 if no gain is above 0.
    """
    best = np.argsort(-scores, kind="stable")[:K]
    ideal = np.sort(gains)[::-1][:K]
    ideal_gain = float((ideal * DISCOUNT[: len(ideal)]).sum())
    return float((gains[best] * DISCOUNT[: len(best)]).sum() / ideal_gain) if ideal_gain else 0.0


def matched_auc(relevant: Array, matched: Array) -> float:
    """Probability that a relevant movie scores higher than one with about as many votes.

    `relevant` (n,) are the scores of relevant movies, `matched` (n, n_samples) those of the movies
    drawn for each of them; ties count one half.
    """
    higher, equal = relevant[:, None] > matched, relevant[:, None] == matched
    return float((higher + 0.5 * equal).mean())


def genre_precision(lists: Lists, queries: Sequence[int], genres: Array) -> float:
    """Share of recommended movies that have a genre of their query; `genres` (n, n_genres)."""
    shares_genre = [
        genres[hits[hits >= 0]] @ genres[row] > 0 for row, hits in zip(queries, lists, strict=True)
    ]
    return float(np.concatenate(shares_genre).mean())


def coverage(lists: Lists, n_movies: int) -> float:
    """Share of the catalogue's movies that are in at least one list."""
    return len(np.unique(lists[lists >= 0])) / n_movies


def top_share(lists: Lists, n_top: int) -> float:
    """Share of all places that the `n_top` most frequently recommended movies take."""
    counts = sorted(Counter(lists[lists >= 0].tolist()).values(), reverse=True)
    return sum(counts[:n_top]) / sum(counts)


def most_frequent_share(lists: Lists) -> float:
    """Share of the lists that contain the most frequently recommended movie."""
    return max(Counter(lists[lists >= 0].tolist()).values()) / len(lists)


def gini(lists: Lists, n_movies: int) -> float:
    """Gini coefficient of how often movies are recommended: 0 all equally, 1 always the same."""
    counts = np.sort(np.bincount(lists[lists >= 0], minlength=n_movies))
    ranks = np.arange(1, n_movies + 1)
    return float((2 * ranks - n_movies - 1) @ counts / (n_movies * counts.sum()))


def vote_percentiles(votes: Array) -> NDArray[np.float64]:
    """Percentile between 0 and 1 of the popularity priors `votes` (n,); ties share one."""
    percentiles: NDArray[np.float64] = (rankdata(votes) - 0.5) / len(votes)
    return percentiles


def popularity_lift(lists: Lists, queries: Sequence[int], votes: Array) -> float:
    """Mean vote percentile of the recommended movies minus that of their queries."""
    percentiles = vote_percentiles(votes)
    lifts = [
        percentiles[hits[hits >= 0]].mean() - percentiles[row]
        for row, hits in zip(queries, lists, strict=True)
        if (hits >= 0).any()
    ]
    return float(np.mean(lifts))


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
