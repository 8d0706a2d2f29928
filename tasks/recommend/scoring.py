"""Movies and a question -> ranked lists: named features, their weights, diversity, explanation.

Nothing here loads slowly: a single question from the terminal goes through this module too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.strict_config import StrictConfig

Array = NDArray[np.float32]
YEARS_TO_FADE = 8.0  # years apart at which nearness has fallen to 1/e
NEUTRAL_YEAR = 0.3  # nearness where a year is unknown: about the mean of all pairs
UNKNOWN_YEAR = 30_000.0  # far from every year, and from the opposite number of the other side
#: Nearness by the difference of two years; the last is that of an unknown year.
FADING = np.append(np.exp(-np.arange(255) / YEARS_TO_FADE), NEUTRAL_YEAR).astype(np.float32)
VOTES_OF_A_HIT = 10_000
FEATURES = ("content", "words", "title", "genre", "year", "votes")


class RankConfig(StrictConfig, frozen=True):
    """How much each likeness counts.

    Chosen by the walk of `benchmarks/ranking.py` on half of the queries, then rounded; started from
    here it stays here.
    """

    content: float = Field(0.2, ge=0, le=10, description="Cosine of the whitened document vectors")
    words: float = Field(3.3, ge=0, le=10, description="TF-IDF cosine of the words")
    title: float = Field(0.9, ge=0, le=10, description="TF-IDF cosine of the titles' words")
    genre: float = Field(0.5, ge=0, le=10, description="Cosine of the genres")
    year: float = Field(
        0.65, ge=0, le=10, description="Nearness of the years: exp(-|difference|/8)"
    )
    votes: float = Field(
        1.05,
        ge=0,
        le=10,
        description="Votes of the answer, log-scaled and squared; 0: popularity does not count",
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of a pick's score lost when it equals an earlier pick (MMR); 0: none",
    )


class ItemFeatures(NamedTuple):
    """What movies are compared by, a row a movie.

    `content` (n, size) and `genres` (n, n_genres) have rows of length one, or zero where nothing
    is known; `words` and `titles` are sparse such rows (n, n_terms); `years` (n,) may be NaN;
    `votes` (n,) lie between 0 and about 1.
    """

    content: Array
    words: sp.csr_array
    titles: sp.csr_array
    genres: Array
    years: Array
    votes: Array

    def rows(self, rows: NDArray[np.int64]) -> "ItemFeatures":
        """The profiles of some of the movies."""
        return ItemFeatures(*(column[rows] for column in self))

    def by_term(self) -> "ItemFeatures":
        """As items to compare with: the sparse parts transposed, so that a query touches only the
        movies that have its words."""
        return self._replace(words=self.words.T.tocsr(), titles=self.titles.T.tocsr())


def popularity_prior(votes: Sequence[int | None], neutral: float) -> Array:
    """Popularity from vote counts, (log(1+votes) / log(1+10000))²; `neutral` where unknown.

    Squared, since the step from a hundred to a thousand votes says more than from one to ten.
    """
    scale = np.log1p(VOTES_OF_A_HIT)
    known = [neutral if v is None else float(np.log1p(v) / scale) ** 2 for v in votes]
    return np.array(known, np.float32)


def year_proximity(years: Array, other: Array) -> Array:
    """exp(-|difference|/8) of each of `years` (q,) to each of `other` (n,), as (q, n)."""
    own = np.nan_to_num(years, nan=-UNKNOWN_YEAR).astype(np.int32)
    others = np.nan_to_num(other, nan=UNKNOWN_YEAR).astype(np.int32)
    found: Array = FADING[np.minimum(np.abs(own[:, None] - others[None, :]), len(FADING) - 1)]
    return found


def similarity_features(queries: ItemFeatures, items: ItemFeatures) -> dict[str, Array]:
    """Likeness of each query to each item under each name, (n_queries, n_items).

    `items` are profiles `by_term`.
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


def weighted_scores(found: dict[str, Array], config: RankConfig) -> Array:
    """The weighted sum of the features, divided by the sum of the weights."""
    weights = {name: getattr(config, name) for name in FEATURES}
    parts = [np.float32(weight) * found[name] for name, weight in weights.items() if weight]
    total: Array = sum(parts[1:], start=parts[0]) if parts else np.zeros_like(found["content"])
    return total / np.float32(sum(weights.values()) or 1.0)


def top_positions(scores: Array, count: int) -> NDArray[np.int64]:
    """Positions of the highest of `scores` (n,), best first, equal ones by position."""
    count = min(count, len(scores))
    nearest = np.argpartition(-scores, count - 1)[:count] if count else np.arange(0)
    order: NDArray[np.int64] = nearest[np.lexsort((nearest, -scores[nearest]))]
    return order


def drop_duplicates(
    ranked: Sequence[int], keys: Sequence[NDArray[np.int64]], asked: Sequence[int], limit: int
) -> list[int]:
    """The first `limit` of ranked movies, without what was asked about and without copies.

    Movies that share one of their `keys`, arrays over all movies, are copies of each other.
    """
    seen = [{int(key[row]) for row in asked} for key in keys]
    kept: list[int] = []
    for row in ranked:
        own = [int(key[row]) for key in keys]
        if row in asked or any(key in known for key, known in zip(own, seen, strict=True)):
            continue
        for key, known in zip(own, seen, strict=True):
            known.add(key)
        kept.append(int(row))
        if len(kept) == limit:
            break
    return kept


def mmr_rerank(scores: Array, content: Array, limit: int, diversity: float) -> list[int]:
    """Positions picked by maximal marginal relevance (Carbonell & Goldstein, 1998).

    A pick's score (n,) is lowered by `diversity` times its greatest cosine to an earlier pick,
    as a share of the best score. `content` (n, size) has rows of length one.
    """
    if not diversity:
        return list(range(min(limit, len(scores))))
    picked, penalty = list[int](), np.zeros(len(scores), np.float32)
    for _ in range(min(limit, len(scores))):
        left = scores - diversity * scores.max() * penalty
        left[picked] = -np.inf
        picked.append(int(left.argmax()))
        penalty = np.maximum(penalty, content @ content[picked[-1]])
    return picked


def score_contributions(found: dict[str, Array], config: RankConfig, row: int) -> dict[str, float]:
    """What each feature gives to the score of one item, for one query (or the mean of several)."""
    total = sum(getattr(config, name) for name in FEATURES) or 1.0
    return {
        name: float(getattr(config, name) * found[name][:, row].mean() / total) for name in FEATURES
    }


def common_words(
    queries: sp.csr_array, item: sp.csr_array, names: Sequence[str], count: int = 5
) -> list[str]:
    """Words that queries share with one item, most telling first."""
    together = queries.sum(axis=0) * item.toarray()[0]
    order: Any = np.argsort(-together, kind="stable")[:count]
    return [names[column] for column in order if together[column] > 0]
