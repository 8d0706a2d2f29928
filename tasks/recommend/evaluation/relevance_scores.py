"""Query sets and ranking weights -> list metrics, for the recommender and the baselines."""

from collections.abc import Callable, Sequence

import pyarrow as pa

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    K,
    Scorer,
    baseline_scorers,
    ranked_lists,
    recommender_scorer,
)
from tasks.recommend.evaluation.query_sets import (
    QuerySet,
    coverage_queries,
    reported_queries,
)
from tasks.recommend.evaluation.ranking_metrics import (
    Lists,
    RelevantRows,
    coverage,
    genre_precision,
    intra_list_diversity,
    mean_with_interval,
    ndcg_at,
    recall_at,
)
from tasks.recommend.scoring import Array, RankConfig

RECALL_CUTOFFS = (1, 2, 5, 10, 20, 50)  # list lengths of the recall curve
RECOMMENDER = "ours"  # name of the recommender among the methods of stored tables
METRICS: dict[str, Callable[[Lists, RelevantRows], Array]] = {
    "franchise_recall_at_10": recall_at,
    "colike_ndcg_at_10": ndcg_at,
}
RECALL_SCHEMA = pa.schema(
    [("kind", pa.string()), ("method", pa.string()), ("k", pa.int64()), ("recall", pa.float64())]
)
#: Lists of the reported queries by name of the query set and of the method.
ListsByMethod = dict[str, dict[str, Lists]]


def per_query_scores(
    catalogue: Catalogue, query_set: QuerySet, scorer: Scorer, diversity: float = 0.0
) -> Array:
    """Score (n_queries,) of each reported query's list, ordered by query row."""
    queries = reported_queries(catalogue, query_set)
    lists = ranked_lists(catalogue, queries.rows, scorer, diversity)
    return METRICS[query_set.name](lists, queries.relevant)


def recommender_scores(
    catalogue: Catalogue, query_sets: Sequence[QuerySet], config: RankConfig
) -> dict[str, Array]:
    """`per_query_scores` of the recommender by name of the query set."""
    scorer = recommender_scorer(catalogue, config)
    return {
        query_set.name: per_query_scores(catalogue, query_set, scorer, config.diversity)
        for query_set in query_sets
    }


def lists_for_recall_curve(
    catalogue: Catalogue, query_sets: Sequence[QuerySet], config: RankConfig
) -> ListsByMethod:
    """Lists of the longest cutoff by the recommender and the baselines, for each query set."""
    return {
        query_set.name: _lists_by_method(
            catalogue, reported_queries(catalogue, query_set).rows, config
        )
        for query_set in query_sets
    }


def _lists_by_method(
    catalogue: Catalogue, rows: Sequence[int], config: RankConfig
) -> dict[str, Lists]:
    longest = RECALL_CUTOFFS[-1]
    scorer = recommender_scorer(catalogue, config)
    lists = {RECOMMENDER: ranked_lists(catalogue, rows, scorer, config.diversity, longest)}
    for name, baseline in baseline_scorers(catalogue.features, catalogue.items).items():
        lists[name] = ranked_lists(catalogue, rows, baseline, k=longest)
    return lists


def recall_by_k(
    catalogue: Catalogue, query_sets: Sequence[QuerySet], lists_by_method: ListsByMethod
) -> pa.Table:
    """Mean recall at each of `RECALL_CUTOFFS`: columns kind, method, k, recall."""
    rows = []
    for query_set in query_sets:
        relevant = reported_queries(catalogue, query_set).relevant
        for method, lists in lists_by_method[query_set.name].items():
            for k in RECALL_CUTOFFS if relevant else ():
                recall = float(recall_at(lists[:, :k], relevant).mean())
                row = {"kind": query_set.kind, "method": method, "k": k, "recall": recall}
                rows.append(row)
    return pa.Table.from_pylist(rows, RECALL_SCHEMA)


def list_scores(
    catalogue: Catalogue,
    query_sets: Sequence[QuerySet],
    config: RankConfig,
    scores: dict[str, Array],
    lists_by_method: ListsByMethod,
) -> dict[str, float]:
    """All list metrics by name: relevance, baselines, genre precision, coverage, diversity.

    `scores` are the `recommender_scores`, `lists_by_method` the `lists_for_recall_curve`.
    """
    metrics: dict[str, float] = {}
    for query_set in query_sets:
        metrics |= mean_with_interval(scores[query_set.name], f"rec_{query_set.name}")
        metrics |= _scores_without_votes(catalogue, query_set, config)
        metrics |= _baseline_scores(catalogue, query_set, lists_by_method[query_set.name])
        metrics[f"rec_queries_{query_set.kind}"] = float(len(scores[query_set.name]))
    return metrics | _catalogue_metrics(catalogue, config)


def _scores_without_votes(
    catalogue: Catalogue, query_set: QuerySet, config: RankConfig
) -> dict[str, float]:
    scorer = recommender_scorer(catalogue, config.model_copy(update={"votes": 0.0}))
    scores = per_query_scores(catalogue, query_set, scorer, config.diversity)
    return mean_with_interval(scores, f"rec_without_votes_{query_set.name}")


def _baseline_scores(
    catalogue: Catalogue, query_set: QuerySet, lists_by_name: dict[str, Lists]
) -> dict[str, float]:
    relevant = reported_queries(catalogue, query_set).relevant
    metrics: dict[str, float] = {}
    for name, lists in lists_by_name.items():
        if name != RECOMMENDER:
            scores = METRICS[query_set.name](lists[:, :K], relevant)
            metrics |= mean_with_interval(scores, f"rec_baseline_{name}_{query_set.name}")
    return metrics


def _catalogue_metrics(catalogue: Catalogue, config: RankConfig) -> dict[str, float]:
    """Metrics of the lists that need no relevance judgement."""
    queries, features = coverage_queries(catalogue), catalogue.features
    scorer = recommender_scorer(catalogue, config)
    lists = ranked_lists(catalogue, queries, scorer, config.diversity)
    return {
        "rec_genre_precision_at_10": genre_precision(lists, queries, features.genres),
        "rec_coverage_at_10": coverage(lists, len(catalogue)),
        "rec_intra_list_diversity_at_10": intra_list_diversity(lists, features.content),
    }
