"""The score of a recommended movie -> how close it is, in words.

The scale is the question's own: its score compared with itself, the highest that a movie could get.
The thresholds are those that people's judgements suggest (`benchmarks/closeness.py`): from 0.35 on,
nine of ten movies share a keyword that people gave them, and nearly half of the films of a series
are there; from 0.25 on two of three do, from 0.2 on half. Of any two movies, one pair in fourteen.
"""

from collections.abc import Mapping

from app.answers import Closeness
from tasks.recommend.query import RecommendationQuery
from tasks.recommend.scoring import (
    RankConfig,
    mean_similarities,
    similarity_features,
    used_features,
    weighted_scores,
)

THRESHOLDS: tuple[tuple[float, Closeness], ...] = (
    (0.35, "very close"),
    (0.25, "close"),
    (0.2, "related"),
)
LOWEST: Closeness = "loosely related"


def self_score(query: RecommendationQuery, rank: RankConfig) -> float:
    """The score of the question compared with itself; of several movies, the highest.

    `rank` has the weights of the list: those `for_text()` if the query is a text.
    """
    names = used_features(rank)
    features = similarity_features(query.features, query.features.by_term(), names)
    return float(weighted_scores(mean_similarities(features), rank).max())


def closeness(shares: Mapping[str, float], question_score: float) -> Closeness:
    """How close a movie is by the contributions to its score, and the question's `self_score`.

    The title counts no more than all other features: movies of one name can be about anything.
    """
    title = shares.get("title", 0.0)
    others = sum(shares.values()) - title
    relative = (others + min(title, others)) / question_score if question_score > 0 else 0.0
    return next((words for least, words in THRESHOLDS if relative >= least), LOWEST)
