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


def matched_auc(relevant: Array, matched: Array) -> Array:
    """Probability (n,) that each relevant movie scores higher than one with about as many votes.

    `relevant` (n,) are the scores of relevant movies, `matched` (n, n_samples) those of the movies
    drawn for each of them; ties count one half.
    """
    higher, equal = relevant[:, None] > matched, relevant[:, None] == matched
    return np.asarray((higher + 0.5 * equal).mean(axis=1))


def genre_precision(lists: Lists, queries: Sequence[int], genres: Array) -> float:
    """Share of recommended movies that have a genre of their query, of those with known genres.

    `genres` (n, n_genres) are known genres: a movie without any is neither a query nor a hit.
    Returns nan if no query and hit have known genres.
    """
    known = np.asarray(genres.any(axis=1))
    shares_genre = [
        genres[hits[known[hits]]] @ genres[row] > 0
        for row, hits in zip(queries, (row[row >= 0] for row in lists), strict=True)
        if known[row]
    ]
    flags = np.concatenate(shares_genre) if shares_genre else np.empty(0)
    return float(flags.mean()) if len(flags) else float("nan")


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


def bootstrap_means(
    values: Array, clusters: Sequence[int] = (), seed: int = 0
) -> NDArray[np.float64]:
    """Means of bootstrap samples of queries, (BOOTSTRAP_SAMPLES,).

    `values` are (n_queries,), or (n_queries, 1 + n_groups): then the columns after the first are
    the values without the judgements of each group of users, and the samples are as much wider as
    the jackknife over the groups says. `clusters` numbers the franchise of each query: franchises
    are drawn as a whole.
    """
    columns = values.reshape(len(values), -1).astype(np.float64)
    numbers = np.unique(clusters if len(clusters) else np.arange(len(values)), return_inverse=True)
    sums, sizes = np.bincount(numbers[1], columns[:, 0]), np.bincount(numbers[1])
    shares = np.full(len(sums), 1 / len(sums))
    rng = np.random.default_rng(seed)
    repeats = rng.multinomial(len(sums), shares, BOOTSTRAP_SAMPLES)
    means: NDArray[np.float64] = (repeats @ sums) / (repeats @ sizes)
    error, spread = _jackknife_error(columns[:, 1:]), means.std()
    if not spread:
        return means + error * rng.standard_normal(BOOTSTRAP_SAMPLES)
    mean = columns[:, 0].mean()
    widened: NDArray[np.float64] = mean + (means - mean) * np.sqrt(1 + (error / spread) ** 2)
    return widened


def _jackknife_error(replicates: NDArray[np.float64]) -> float:
    """Standard error of a mean by the delete-a-group jackknife; `replicates` (n, n_groups)."""
    n_groups = replicates.shape[1]
    if not n_groups:
        return 0.0
    means = replicates.mean(axis=0)
    return float(np.sqrt((n_groups - 1) / n_groups * ((means - means.mean()) ** 2).sum()))


def bootstrap_interval(values: Array, clusters: Sequence[int] = ()) -> tuple[float, float]:
    """95% bootstrap interval of the mean of per-query values; see `bootstrap_means`."""
    low, high = np.quantile(bootstrap_means(values, clusters), [0.025, 0.975])
    return float(low), float(high)


def query_values(values: Array) -> Array:
    """The score of each query (n_queries,), by the judgements of all users."""
    return values if values.ndim == 1 else values[:, 0]


def mean_with_interval(values: Array, name: str, clusters: Sequence[int] = ()) -> dict[str, float]:
    """Metrics `name`, `name_low` and `name_high`: mean and 95% interval; empty without values."""
    if not len(values):
        return {}
    low, high = bootstrap_interval(values, clusters)
    mean = float(query_values(values).mean())
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
