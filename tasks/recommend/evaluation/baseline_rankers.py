"""Whose lists are measured: the recommender's own, and those of simple methods beside it."""

from collections.abc import Callable, Sequence

import numpy as np

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.ranking_metrics import Lists
from tasks.recommend.scoring import (
    Array,
    ItemFeatures,
    RankConfig,
    similarity_features,
    weighted_scores,
)

K = 10
BLOCK = 32  # queries that are ranked at a time
#: Scores of a block of queries, (n_queries, n_movies).
Scorer = Callable[[Sequence[int]], Array]


def ranked_lists(
    catalogue: Catalogue, queries: Sequence[int], scorer: Scorer, diversity: float = 0.0, k: int = K
) -> Lists:
    """Rows of the best `k` movies for each query, as a reader gets them; -1 in shorter lists."""
    listed = np.full((len(queries), k), -1, np.int64)
    for first in range(0, len(queries), BLOCK):
        block = queries[first : first + BLOCK]
        for at, (row, score) in enumerate(zip(block, scorer(block), strict=True)):
            found = catalogue.top_rows(score, [row], k, diversity)
            listed[first + at, : len(found)] = found
    return listed


def recommender_scorer(catalogue: Catalogue, config: RankConfig) -> Scorer:
    """The recommender's own scores."""

    def score(rows: Sequence[int]) -> Array:
        return weighted_scores(
            similarity_features(catalogue.features_of(rows), catalogue.items), config
        )

    return score


def baseline_scorers(
    profiles: ItemFeatures, items: ItemFeatures, seed: int = 0
) -> dict[str, Scorer]:
    """What simple methods say: TF-IDF of overview and title, genres, both, and chance."""

    def tfidf(rows: Sequence[int]) -> Array:
        found: Array = (profiles.words[list(rows)] @ items.words).toarray()
        return found

    def genre(rows: Sequence[int]) -> Array:
        return profiles.genres[list(rows)] @ profiles.genres.T

    def chance(rows: Sequence[int]) -> Array:
        draws = [np.random.default_rng([seed, row]).random(len(profiles.years)) for row in rows]
        return np.array(draws, np.float32)

    return {
        "tfidf": tfidf,
        "tfidf_genre": lambda rows: tfidf(rows) + np.float32(0.7**2) * genre(rows),
        "genre": genre,
        "random": chance,
    }
