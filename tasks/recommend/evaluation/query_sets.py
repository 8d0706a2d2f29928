"""Index rows, ratings, known items -> query sets: queries and the metric of each judgement.

A hash of its id assigns each query movie to one of two halves: ranking weights are chosen on one
half (`benchmarks/ranking.py`), scores are reported on the other.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.contracts import RatingsRef
from tasks.data.companions.reference_files import require_same_ratings
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import BLOCK
from tasks.recommend.evaluation.ranking_metrics import graded_ndcg, matched_auc, ndcg, recall
from tasks.recommend.evaluation.relevance import (
    MIN_MATCHED_MOVIES,
    Relevant,
    VoteMatched,
    co_liked,
    franchises,
    keyword_judgements,
    read_likes,
)
from tasks.recommend.scoring import Array

MAX_QUERIES = 1000  # reported queries of a set; of more, an even sample
MAX_COVERAGE_QUERIES = 1000
#: Score of one query from its row, the ranking scores (n_movies,) and its list of ten rows.
Metric = Callable[[int, Array, Sequence[int]], float]


class QuerySet(NamedTuple):
    """The queries of one judgement: the metric's name, catalogue rows, and the metric.

    `needs_list`: the metric reads the list; otherwise it gets an empty one. `candidates` are the
    rows that are ranked, if not all; the metric then gets their scores alone.
    """

    name: str
    rows: list[int]
    metric: Metric
    needs_list: bool = True
    candidates: NDArray[np.int64] | None = None


def is_reported_query(source: str, movie_id: str) -> bool:
    """Whether a movie's query belongs to the half that scores are reported on."""
    return hashlib.sha256(f"{source}/{movie_id}".encode()).digest()[0] % 2 == 1


def build_query_sets(
    rows: pa.Table, ratings: RatingsRef | None, with_keywords: bool
) -> list[QuerySet]:
    """Query sets of all judgements that the source has; without empty ones.

    `with_keywords`: keywords are a feature of the ranking, so that they cannot judge it.

    Raises:
        UserError: the ratings changed while the run was reading them.
    """
    query_sets = [] if with_keywords else [_keyword_set(rows["keywords"].to_pylist())]
    query_sets.append(_franchise_set(franchises(rows["collection"].to_pylist())))
    if ratings:
        query_sets += _co_like_sets(rows, ratings)
    return [query_set for query_set in query_sets if query_set.rows]


def _keyword_set(keywords: Sequence[Sequence[str]]) -> QuerySet:
    judgements = keyword_judgements(keywords)
    positions = {row: position for position, row in enumerate(judgements.rows.tolist())}

    gains = lru_cache(maxsize=2 * BLOCK)(judgements.gains)  # scorers share the queries of a block

    def metric(row: int, scores: Array, hits: Sequence[int]) -> float:
        """Graded nDCG@10 of the ranking of all judged movies but the query."""
        position = positions[row]
        others = scores.copy()
        others[position] = -np.inf
        return graded_ndcg(others, gains(position))

    return QuerySet(
        name="keyword_ndcg_at_10",
        rows=list(positions),
        metric=metric,
        needs_list=False,
        candidates=judgements.rows,
    )


def _franchise_set(relevant: Relevant) -> QuerySet:
    def metric(row: int, scores: Array, hits: Sequence[int]) -> float:
        return recall(hits, relevant[row])

    return QuerySet("franchise_recall_at_10", sorted(relevant), metric)


def _co_like_sets(rows: pa.Table, ratings: RatingsRef) -> list[QuerySet]:
    movies = zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True)
    row_by_id = {
        movie_id: row for row, (name, movie_id) in enumerate(movies) if name == ratings.source
    }
    likes = read_likes(*ratings.files, row_by_id)
    require_same_ratings(ratings)
    relevant = co_liked(likes)
    sampler = VoteMatched(rows["votes"].to_numpy())
    judged = sorted(relevant)

    @lru_cache(maxsize=2 * BLOCK)  # scorers share the queries of a block
    def matched(row: int) -> NDArray[np.int64]:
        return sampler.draw(row, relevant[row])

    def auc(row: int, scores: Array, hits: Sequence[int]) -> float:
        return matched_auc(scores[relevant[row]], scores[matched(row)])

    def binary_ndcg(row: int, scores: Array, hits: Sequence[int]) -> float:
        return ndcg(hits, relevant[row])

    matchable = judged if len(rows) >= MIN_MATCHED_MOVIES else []
    return [
        QuerySet("colike_matched_auc", matchable, auc, needs_list=False),
        QuerySet("colike_ndcg_at_10", judged, binary_ndcg),
    ]


def split_queries(
    catalogue: Catalogue, rows: Iterable[int], *, reported: bool, limit: int = MAX_QUERIES
) -> list[int]:
    """Query rows of one half, in order; an even sample of at most `limit`."""
    ordered = sorted(rows)
    movies = catalogue.movies.select(["source", "id"]).take(pa.array(ordered, pa.int64()))
    half = [
        row
        for row, movie in zip(ordered, movies.to_pylist(), strict=True)
        if is_reported_query(movie["source"], movie["id"]) == reported
    ]
    return even_sample(half, limit)


def reported_sets(catalogue: Catalogue, query_sets: Iterable[QuerySet]) -> list[QuerySet]:
    """The query sets with the queries that scores are reported on; without empty ones."""
    halves = [
        query_set._replace(rows=split_queries(catalogue, query_set.rows, reported=True))
        for query_set in query_sets
    ]
    return [query_set for query_set in halves if query_set.rows]


def coverage_queries(catalogue: Catalogue, limit: int = MAX_COVERAGE_QUERIES) -> list[int]:
    """Query rows for measuring popularity bias and coverage: all, or an even sample."""
    return even_sample(range(len(catalogue)), limit)


def even_sample(rows: Sequence[int], limit: int) -> list[int]:
    """All rows, or every k-th so that at most `limit` remain."""
    return list(rows[:: max(1, -(-len(rows) // limit))])
