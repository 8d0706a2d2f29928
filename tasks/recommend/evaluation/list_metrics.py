"""Query scores and lists -> list metrics by name, and a table of all scorers and metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER
from tasks.recommend.evaluation.ranking_metrics import (
    Lists,
    coverage,
    genre_precision,
    gini,
    intra_list_diversity,
    mean_with_interval,
    most_frequent_share,
    popularity_lift,
    top_share,
)
from tasks.recommend.evaluation.relevance_scores import QueryScores

#: Relevance metrics: the first that a run has is its headline. The raw co-like nDCG is driven by
#: popularity and decides nothing.
RELEVANCE_METRICS = (
    "keyword_ndcg_at_10",
    "franchise_recall_at_10",
    "colike_matched_auc",
    "known_item_recall_at_10",
    "colike_ndcg_at_10",
)
SCORER_SCHEMA = pa.schema(
    [("scorer", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high")]
)


def popularity_metrics(
    lists: Lists, queries: Sequence[int], catalogue: Catalogue
) -> dict[str, float]:
    """What popularity does to lists, and how many movies they reach.

    The lift is missing where all movies have equally many votes.
    """
    votes = catalogue.features.votes
    has_votes = votes.min() < votes.max()
    lift = {"popularity_lift": popularity_lift(lists, queries, votes)} if has_votes else {}
    return lift | {
        "top1_share": most_frequent_share(lists),
        "top20_share": top_share(lists, 20),
        "top50_share": top_share(lists, 50),
        "coverage_at_10": coverage(lists, len(catalogue)),
        "gini": gini(lists, len(catalogue)),
    }


def list_metrics(
    query_scores: QueryScores,
    clusters: Mapping[str, Sequence[int]],
    lists: Mapping[str, Lists],
    queries: Sequence[int],
    catalogue: Catalogue,
) -> dict[str, float]:
    """All list metrics by name: `rec_…` of the recommender, `rec_baseline_…` of the baselines.

    `clusters` are those of the queries by query set, `lists` those of `queries` by scorer.
    """
    metrics: dict[str, float] = {}
    for scorer, by_set in query_scores.items():
        prefix = "rec" if scorer == RECOMMENDER else f"rec_baseline_{scorer}"
        for name, scores in by_set.items():
            metrics |= mean_with_interval(scores, f"{prefix}_{name}", clusters.get(name, ()))
        bias = popularity_metrics(lists[scorer], queries, catalogue)
        metrics |= {f"{prefix}_{name}": value for name, value in bias.items()}
    for name, scores in query_scores[RECOMMENDER].items():
        metrics[f"rec_queries_{query_kind(name)}"] = float(len(scores))
    recommended = lists[RECOMMENDER]
    diversity = intra_list_diversity(recommended, catalogue.features.content)
    metrics["rec_intra_list_diversity_at_10"] = diversity
    return metrics | _genre_precision(recommended, queries, catalogue)


def _genre_precision(
    lists: Lists, queries: Sequence[int], catalogue: Catalogue
) -> dict[str, float]:
    """Genre precision by the known genres; missing where no query and hit have any."""
    if not catalogue.genres:
        return {}
    precision = genre_precision(lists, queries, np.column_stack([*catalogue.genres.values()]))
    return {} if np.isnan(precision) else {"rec_genre_precision_at_10": precision}


def query_kind(metric: str) -> str:
    """`keyword`, `franchise`, `colike` or `known_item` of the name of a metric."""
    return "known_item" if metric.startswith("known_item") else metric.split("_")[0]


def scorer_table(metrics: Mapping[str, float], scorers: Sequence[str]) -> pa.Table:
    """Rows scorer, metric, value, low and high of relevance and of popularity bias."""
    return pa.Table.from_pylist(list(_scorer_rows(metrics, scorers)), SCORER_SCHEMA)


def _scorer_rows(metrics: Mapping[str, float], scorers: Sequence[str]) -> Iterator[dict[str, Any]]:
    for scorer in scorers:
        prefix = "rec" if scorer == RECOMMENDER else f"rec_baseline_{scorer}"
        for metric in (*RELEVANCE_METRICS, "top20_share", "popularity_lift"):
            name = f"{prefix}_{metric}"
            if name in metrics:
                interval = {end: metrics.get(f"{name}_{end}") for end in ("low", "high")}
                yield {"scorer": scorer, "metric": metric, "value": metrics[name]} | interval
