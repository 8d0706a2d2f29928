"""Scorers to evaluate, the recommender and the baselines -> ranked lists."""

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
BLOCK = 32  # queries that are scored at a time
GENRE_WEIGHT = np.float32(0.7**2)  # of the genre cosine in `tfidf_genre`; that of TF-IDF is 1
#: Scores (n_queries, n_movies) of a block of query rows.
Scorer = Callable[[Sequence[int]], Array]


def ranked_lists(
    catalogue: Catalogue, queries: Sequence[int], scorer: Scorer, diversity: float = 0.0, k: int = K
) -> Lists:
    """Top-`k` rows (n_queries, k) of each query as a reader gets them; -1 fills shorter lists."""
    lists = np.full((len(queries), k), -1, np.int64)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        for position, (row, scores) in enumerate(zip(block, scorer(block), strict=True), start):
            top_rows = catalogue.top_rows(scores, [row], k, diversity)
            lists[position, : len(top_rows)] = top_rows
    return lists


def recommender_scorer(catalogue: Catalogue, config: RankConfig) -> Scorer:
    """The ranking score of the recommender."""

    def score(rows: Sequence[int]) -> Array:
        features = similarity_features(catalogue.features_of(rows), catalogue.items)
        return weighted_scores(features, config)

    return score


def baseline_scorers(
    features: ItemFeatures, items: ItemFeatures, seed: int = 0
) -> dict[str, Scorer]:
    """Baselines by name: TF-IDF cosine of the words, genre cosine, their sum, random.

    `items` are the same features transposed by `by_term`.
    """

    def tfidf(rows: Sequence[int]) -> Array:
        scores: Array = (features.words[list(rows)] @ items.words).toarray()
        return scores

    def genre(rows: Sequence[int]) -> Array:
        return features.genres[list(rows)] @ features.genres.T

    def uniform(rows: Sequence[int]) -> Array:
        n_movies = len(features.years)
        scores = [np.random.default_rng([seed, row]).random(n_movies) for row in rows]
        return np.array(scores, np.float32)

    return {
        "tfidf": tfidf,
        "tfidf_genre": lambda rows: tfidf(rows) + GENRE_WEIGHT * genre(rows),
        "genre": genre,
        "random": uniform,
    }
