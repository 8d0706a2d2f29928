"""Index rows, ratings, known items -> query sets: queries and the metric of each judgement.

Films, franchises and users are assigned to one of two halves by a hash: ranking weights and
versions are chosen on one half, scores are reported on the other. The movies of a franchise are in
one half, so that a pair of them does not judge in both. A film is known by title and year: its
name does not change with that of the source, which weekly exports often name by their date.
"""

from collections.abc import Callable, Sequence
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
    Half,
    Relevant,
    VoteMatched,
    co_liked,
    co_liked_without_groups,
    franchises,
    half_of,
    keyword_judgements,
    read_likes,
    stable_sample,
)
from tasks.recommend.scoring import Array

MAX_QUERIES = 1000  # queries of a set; of more, a sample by a hash of their names
MAX_COVERAGE_QUERIES = 1000
#: Score of one query from its row, the ranking scores (n_movies,) and its list of ten rows. An
#: array has the score by all users' judgements first, then those without each group of users.
Metric = Callable[[int, Array, Sequence[int]], float | Array]


class QuerySet(NamedTuple):
    """The queries of one judgement: the metric's name, catalogue rows, and the metric.

    `needs_list`: the metric reads the list; otherwise it gets an empty one. `candidates` are the
    rows that are ranked, if not all; the metric then gets their scores alone. `clusters` numbers
    the franchise or film of each query; empty means that each query is one.
    """

    name: str
    rows: list[int]
    metric: Metric
    needs_list: bool = True
    candidates: NDArray[np.int64] | None = None
    clusters: tuple[int, ...] = ()


def film_names(rows: pa.Table) -> list[str]:
    """Folded title and year of each movie."""
    columns = (rows[name].to_pylist() for name in ("title_key", "year"))
    return [f"{title} ({year})" for title, year in zip(*columns, strict=True)]


def cluster_names(rows: pa.Table) -> list[str]:
    """What the scores of each movie depend on as a query: its franchise or else its film.

    Where a row names no franchise, another row about the film may.
    """
    films, collections = film_names(rows), rows["collection"].to_pylist()
    franchises = {film: name for film, name in zip(films, collections, strict=True) if name}
    return [
        f"franchise {name}" if (name := collection or franchises.get(film)) else film
        for film, collection in zip(films, collections, strict=True)
    ]


def query_halves(rows: pa.Table) -> list[Half]:
    """The half of each movie as a query."""
    return [half_of(name) for name in cluster_names(rows)]


def rows_of_half(rows: pa.Table, queries: Sequence[int], half: Half, limit: int) -> list[int]:
    """At most `limit` query rows of one half, in order."""
    halves = query_halves(rows)
    return stable_sample([row for row in queries if halves[row] == half], film_names(rows), limit)


def build_query_sets(
    rows: pa.Table,
    ratings: RatingsRef | None,
    with_keywords: bool,
    half: Half,
    limit: int = MAX_QUERIES,
) -> list[QuerySet]:
    """Query sets of one half, of all judgements that the source has; without empty ones.

    `with_keywords`: keywords are a feature of the ranking, so that they cannot judge it.

    Raises:
        UserError: the ratings changed while the run was reading them.
    """
    query_sets = [] if with_keywords else [_keyword_set(_keywords_of_half(rows, half))]
    query_sets.append(_franchise_set(franchises(rows["collection"].to_pylist())))
    query_sets = [
        query_set._replace(rows=rows_of_half(rows, query_set.rows, half, limit))
        for query_set in query_sets
    ]
    if ratings:
        query_sets += _co_like_sets(rows, ratings, half, limit)
    clusters = cluster_numbers(rows)
    return [
        query_set._replace(clusters=tuple(clusters[row] for row in query_set.rows))
        for query_set in query_sets
        if query_set.rows
    ]


def _keywords_of_half(rows: pa.Table, half: Half) -> list[list[str]]:
    """Keywords of the movies of one half; those of the other are not judged.

    The similarity of two movies would else judge in both halves, once from each of them.
    """
    keywords, halves = rows["keywords"].to_pylist(), query_halves(rows)
    return [
        names if movie_half == half else []
        for names, movie_half in zip(keywords, halves, strict=True)
    ]


def cluster_numbers(rows: pa.Table) -> list[int]:
    """A number per movie, equal within a franchise and for movies about the same film."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name, len(numbers)) for name in cluster_names(rows)]


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


def _co_like_sets(rows: pa.Table, ratings: RatingsRef, half: Half, limit: int) -> list[QuerySet]:
    """Sets of all co-liked movies, whose judgements are those of the users of the half."""
    movies = zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True)
    row_by_id = {
        movie_id: row for row, (name, movie_id) in enumerate(movies) if name == ratings.source
    }
    likes = read_likes(*ratings.files, row_by_id, half)
    require_same_ratings(ratings)
    relevant = co_liked(likes)
    judged = stable_sample(list(relevant), film_names(rows), limit)
    without_group = co_liked_without_groups(likes, judged)
    sampler = VoteMatched(rows["votes"].to_numpy())

    def judged_lists(row: int) -> list[NDArray[np.int64]]:
        """Relevant rows by all users, and without each group; by all where a group is all."""
        others = (lists[row] for lists in without_group)
        return [relevant[row], *(rows if len(rows) else relevant[row] for rows in others)]

    @lru_cache(maxsize=2 * BLOCK)  # scorers share the queries of a block
    def matched(row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        every_relevant = np.unique(np.concatenate(judged_lists(row)))
        return every_relevant, sampler.draw(row, every_relevant)

    def auc(row: int, scores: Array, hits: Sequence[int]) -> Array:
        every_relevant, drawn = matched(row)
        shares = matched_auc(scores[every_relevant], scores[drawn])
        positions = (np.searchsorted(every_relevant, rows) for rows in judged_lists(row))
        return np.array([shares[rows].mean() for rows in positions])

    def binary_ndcg(row: int, scores: Array, hits: Sequence[int]) -> Array:
        return np.array([ndcg(hits, rows) for rows in judged_lists(row)])

    matchable = judged if len(rows) >= MIN_MATCHED_MOVIES else []
    return [
        QuerySet("colike_matched_auc", matchable, auc, needs_list=False),
        QuerySet("colike_ndcg_at_10", judged, binary_ndcg),
    ]


def coverage_queries(catalogue: Catalogue, limit: int = MAX_COVERAGE_QUERIES) -> list[int]:
    """Query rows for measuring popularity bias and coverage: all, or an even sample."""
    return list(range(0, len(catalogue), max(1, -(-len(catalogue) // limit))))
