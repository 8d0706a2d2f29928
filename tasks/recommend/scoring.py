"""Item features and ranking weights -> similarity features, scores, ranked and reranked rows.

Imports nothing slow: a single query from the terminal runs through this module.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.strict_config import StrictConfig

Array = NDArray[np.float32]
YEAR_DECAY = 8.0  # years of difference at which the proximity falls to 1/e
UNKNOWN_YEAR_PROXIMITY = 0.3  # about the mean proximity of all pairs of movies
UNKNOWN_YEAR = 30_000.0  # queries use -30000, items +30000, so that it is far from every year
#: Year proximity by the difference in years; the last value stands for every unknown year.
PROXIMITY_BY_DIFFERENCE = np.append(
    np.exp(-np.arange(255) / YEAR_DECAY), UNKNOWN_YEAR_PROXIMITY
).astype(np.float32)
VOTES_OF_A_HIT = 10_000  # vote count at which the popularity prior is 1
FEATURES = ("content", "words", "title", "genre", "year", "votes")


class RankConfig(StrictConfig, frozen=True):
    """Weights of the similarity features in the ranking score.

    The defaults are rounded results of a random search on the choosing half of the queries
    (`benchmarks/ranking.py`); a search that starts from them finds nothing better.
    """

    content: float = Field(
        0.2, ge=0, le=10, description="Weight of the cosine of the whitened document embeddings"
    )
    words: float = Field(
        3.3, ge=0, le=10, description="Weight of the TF-IDF cosine of the title and overview words"
    )
    title: float = Field(
        0.9, ge=0, le=10, description="Weight of the TF-IDF cosine of the title words alone"
    )
    genre: float = Field(0.5, ge=0, le=10, description="Weight of the cosine of the genre vectors")
    year: float = Field(
        0.65,
        ge=0,
        le=10,
        description="Weight of the release year proximity, exp(-d/8) for d years of difference",
    )
    votes: float = Field(
        1.05,
        ge=0,
        le=10,
        description="Weight of the popularity prior of the recommended movie "
        "(squared log vote count); 0: ignore popularity",
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="MMR diversity: the share of the best score that a movie loses if its "
        "embedding equals an earlier pick's; 0: rank by score alone",
    )


class ItemFeatures(NamedTuple):
    """Features of movies or texts for similarity search, one row each.

    `content` (n, size) and `genres` (n, n_genres) have rows of unit length, or of zeros if
    unknown. `words` and `titles` are sparse TF-IDF matrices (n, n_terms) with unit rows. `years`
    (n,) are NaN if unknown. `votes` (n,) are popularity priors between 0 and about 1.
    """

    content: Array
    words: sp.csr_array
    titles: sp.csr_array
    genres: Array
    years: Array
    votes: Array

    def rows(self, rows: NDArray[np.int64]) -> "ItemFeatures":
        """The features of some rows."""
        return ItemFeatures(*(column[rows] for column in self))

    def by_term(self) -> "ItemFeatures":
        """The same with the sparse matrices transposed to (n_terms, n).

        The product with a query then reads only the movies that contain one of its terms.
        """
        return self._replace(words=self.words.T.tocsr(), titles=self.titles.T.tocsr())


def popularity_prior(votes: Sequence[int | None], neutral: float) -> Array:
    """Popularity (n,) from vote counts: (log(1+votes) / log(1+10000))², `neutral` if unknown.

    Squared because an increase from 100 to 1000 votes means more than one from 1 to 10.
    """
    scale = np.log1p(VOTES_OF_A_HIT)
    priors = [neutral if count is None else float(np.log1p(count) / scale) ** 2 for count in votes]
    return np.array(priors, np.float32)


def year_proximity(query_years: Array, item_years: Array) -> Array:
    """exp(-d/8), as (q, n), for the difference d of `query_years` (q,) and `item_years` (n,)."""
    queries = np.nan_to_num(query_years, nan=-UNKNOWN_YEAR).astype(np.int32)
    items = np.nan_to_num(item_years, nan=UNKNOWN_YEAR).astype(np.int32)
    differences = np.abs(queries[:, None] - items[None, :])
    proximity: Array = PROXIMITY_BY_DIFFERENCE[
        np.minimum(differences, len(PROXIMITY_BY_DIFFERENCE) - 1)
    ]
    return proximity


def similarity_features(queries: ItemFeatures, items: ItemFeatures) -> dict[str, Array]:
    """Similarity of each query to each item by feature name, each (n_queries, n_items).

    `items` are transposed by `by_term`.
    """
    votes = np.broadcast_to(items.votes, (len(queries.votes), len(items.votes)))
    return {
        "content": queries.content @ items.content.T,
        "words": (queries.words @ items.words).toarray(),
        "title": (queries.titles @ items.titles).toarray(),
        "genre": queries.genres @ items.genres.T,
        "year": year_proximity(queries.years, items.years),
        "votes": votes,
    }


def weighted_scores(features: dict[str, Array], config: RankConfig) -> Array:
    """Weighted mean (n_queries, n_items) of similarity features."""
    weights = {name: getattr(config, name) for name in FEATURES}
    terms = [np.float32(weight) * features[name] for name, weight in weights.items() if weight]
    total: Array = sum(terms[1:], start=terms[0]) if terms else np.zeros_like(features["content"])
    return total / np.float32(sum(weights.values()) or 1.0)


def top_positions(scores: Array, count: int) -> NDArray[np.int64]:
    """Positions of the `count` highest `scores` (n,), best first; ties ordered by position."""
    count = min(count, len(scores))
    best = np.argpartition(-scores, count - 1)[:count] if count else np.arange(0)
    ordered: NDArray[np.int64] = best[np.lexsort((best, -scores[best]))]
    return ordered


def drop_duplicates(
    ranked_rows: Sequence[int],
    duplicate_keys: Sequence[NDArray[np.int64]],
    query_rows: Sequence[int],
    limit: int,
) -> list[int]:
    """The first `limit` ranked rows without the query movies and without duplicates.

    Movies with an equal value in one of the `duplicate_keys`, each (n_movies,), are duplicates.
    """
    seen = [{int(key[row]) for row in query_rows} for key in duplicate_keys]
    unique_rows: list[int] = []
    for row in ranked_rows:
        keys = [int(key[row]) for key in duplicate_keys]
        is_duplicate = any(key in seen_keys for key, seen_keys in zip(keys, seen, strict=True))
        if row in query_rows or is_duplicate:
            continue
        for key, seen_keys in zip(keys, seen, strict=True):
            seen_keys.add(key)
        unique_rows.append(int(row))
        if len(unique_rows) == limit:
            break
    return unique_rows


def mmr_rerank(scores: Array, content: Array, limit: int, diversity: float) -> list[int]:
    """Positions selected by maximal marginal relevance (Carbonell & Goldstein, 1998).

    `scores` (n,) are sorted in descending order, `content` (n, size) has unit rows. A movie's score
    is reduced by `diversity` × its highest cosine to an earlier pick × the best score.
    """
    if not diversity:
        return list(range(min(limit, len(scores))))
    selected, penalty = list[int](), np.zeros(len(scores), np.float32)
    for _ in range(min(limit, len(scores))):
        marginal = scores - diversity * scores.max() * penalty
        marginal[selected] = -np.inf
        selected.append(int(marginal.argmax()))
        penalty = np.maximum(penalty, content @ content[selected[-1]])
    return selected


def score_contributions(
    features: dict[str, Array], config: RankConfig, row: int
) -> dict[str, float]:
    """Contribution of each feature to the score of one item, averaged over the queries."""
    total = sum(getattr(config, name) for name in FEATURES) or 1.0
    return {
        name: float(getattr(config, name) * features[name][:, row].mean() / total)
        for name in FEATURES
    }


def common_words(
    query_words: sp.csr_array, item_words: sp.csr_array, vocabulary: Sequence[str], count: int = 5
) -> list[str]:
    """Up to `count` words that queries share with one item, highest TF-IDF product first."""
    products = query_words.sum(axis=0) * item_words.toarray()[0]
    columns: Any = np.argsort(-products, kind="stable")[:count]
    return [vocabulary[column] for column in columns if products[column] > 0]
