"""Weights of the popularity prior -> accuracy and coverage of the lists at each weight."""

from collections.abc import Sequence

import numpy as np

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import BLOCK, K, recommender_scorer
from tasks.recommend.evaluation.query_sets import QuerySet, coverage_queries, reported_queries
from tasks.recommend.evaluation.ranking_metrics import Lists, coverage
from tasks.recommend.evaluation.relevance_scores import METRICS
from tasks.recommend.scoring import FEATURES, RankConfig

VOTES_WEIGHTS = (0.0, 0.3, 0.6, 0.9, 1.2, 1.8)
MAX_CURVE_QUERIES = 400  # queries that measure the coverage at each weight


def lists_by_votes(
    catalogue: Catalogue, queries: Sequence[int], config: RankConfig, weights: Sequence[float]
) -> list[Lists]:
    """Top-10 lists (n_queries, 10) of the queries for each weight of votes.

    The scores of the other features are computed once for all weights.
    """
    weight_sum = sum(getattr(config, name) for name in FEATURES) - config.votes
    scorer = recommender_scorer(catalogue, config.model_copy(update={"votes": 0.0}))
    lists_by_weight = [np.full((len(queries), K), -1, np.int64) for _ in weights]
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        block_scores = weight_sum * scorer(block)
        for position, (row, scores) in enumerate(zip(block, block_scores, strict=True), start):
            for lists, weight in zip(lists_by_weight, weights, strict=True):
                total = scores + np.float32(weight) * catalogue.features.votes
                top_rows = catalogue.top_rows(total, [row], K, config.diversity)
                lists[position, : len(top_rows)] = top_rows
    return lists_by_weight


def votes_curve(
    catalogue: Catalogue, query_sets: Sequence[QuerySet], config: RankConfig
) -> dict[str, list[float]]:
    """Columns `votes` (the weight), `coverage_at_10`, and the mean score of each query set."""
    weights = sorted({*VOTES_WEIGHTS, config.votes})
    sample = coverage_queries(catalogue, MAX_CURVE_QUERIES)
    sample_lists = lists_by_votes(catalogue, sample, config, weights)
    columns = {
        "votes": weights,
        "coverage_at_10": [coverage(lists, len(catalogue)) for lists in sample_lists],
    }
    for query_set in query_sets:
        scores = _mean_scores(catalogue, query_set, config, weights)
        if scores:
            columns[query_set.name] = scores
    return columns


def _mean_scores(
    catalogue: Catalogue, query_set: QuerySet, config: RankConfig, weights: Sequence[float]
) -> list[float]:
    """Mean score of a query set at each weight; empty if no query is reported."""
    rows, relevant = reported_queries(catalogue, query_set)
    if not rows:
        return []
    metric = METRICS[query_set.name]
    lists_by_weight = lists_by_votes(catalogue, rows, config, weights)
    return [float(metric(lists, relevant).mean()) for lists in lists_by_weight]
