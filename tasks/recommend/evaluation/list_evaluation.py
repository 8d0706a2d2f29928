"""Index rows -> metrics and tables of the recommendation lists, next to those of baselines.

All movies of the catalogue are candidates.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.core.compute import Compute, run_in_fresh_process
from tasks.core.contracts import RatingsRef, RowsRef, ScoresRef
from tasks.core.storage import store
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import build_query_sets
from tasks.recommend.evaluation.relevance_scores import (
    METRICS,
    list_scores,
    lists_for_recall_curve,
    recall_by_k,
    recommender_scores,
)
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.evaluation.votes_curve import votes_curve
from tasks.recommend.scoring import RankConfig

VERSION = 5
#: Columns of the index rows that the evaluation needs: all but the texts.
COLUMNS = ["source", "id", "title", "year", "genres", "language", "collection", "votes"]
COLUMNS += ["title_key", "overview_key", "content", "genre_vector"]
COLUMNS += ["words", "words_weights", "title_words", "title_words_weights"]


def _evaluate(
    rows: RowsRef, ratings: RatingsRef | None, config: RankConfig, writer: store.EntryWriter
) -> ScoresRef:
    table = store.read(rows, COLUMNS)
    catalogue, query_sets = Catalogue(table), build_query_sets(table, ratings)
    scores = recommender_scores(catalogue, query_sets, config)
    lists_by_method = lists_for_recall_curve(catalogue, query_sets, config)
    metrics = list_scores(catalogue, query_sets, config, scores, lists_by_method)
    tables = {
        "recall_by_k": recall_by_k(catalogue, query_sets, lists_by_method),
        "votes_curve": pa.table(votes_curve(catalogue, query_sets, config)),
        "sample_lists": sample_lists(catalogue, config),
    }
    store.write_json(writer.folder / "metrics.json", metrics)
    np.savez(writer.folder / "queries.npz", allow_pickle=False, **scores)
    for name, content in tables.items():
        pq.write_table(content, writer.folder / f"{name}.parquet")
    return writer.folder_ref(ScoresRef, len(catalogue))


@task(name="evaluate-lists", cache_policy=NO_CACHE)
def evaluate_lists(
    rows: RowsRef, ratings: RatingsRef | None, config: RankConfig, compute: Compute
) -> ScoresRef:
    """Score the lists against franchises and, if the source has ratings, co-liked movies."""
    ratings_key = [ratings.source, ratings.digest] if ratings else None
    scores = store.get_or_create(
        "lists",
        [VERSION, config, rows.digest, ratings_key],
        ScoresRef,
        lambda writer: run_in_fresh_process(compute, _evaluate, rows, ratings, config, writer),
    )
    _log_scores(scores)
    _create_artifacts(scores)
    return scores


def _log_scores(scores: ScoresRef) -> None:
    metrics = store.read_json(store.locate(scores) / "metrics.json")
    names = [f"rec_{name}" for name in METRICS if f"rec_{name}" in metrics]
    relevance = {name: round(metrics[name], 3) for name in names}
    get_run_logger().info(
        "%s, coverage %.2f",
        relevance or "no query has relevant movies",
        metrics["rec_coverage_at_10"],
    )


def _create_artifacts(scores: ScoresRef) -> None:
    for name in ("votes_curve", "sample_lists"):
        rows = pq.read_table(store.locate(scores) / f"{name}.parquet").to_pylist()
        create_table_artifact(rows, key=name.replace("_", "-"))
