"""Index rows and ratings -> query sets: the queries of each relevance definition.

Each movie with relevant movies is a query. A hash of its id assigns it to one of two halves:
ranking weights are chosen on one half (`benchmarks/ranking.py`), scores are reported on the other.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from tasks.core.contracts import RatingsRef
from tasks.data.reference_files import require_same_ratings
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.ranking_metrics import RelevantRows
from tasks.recommend.evaluation.relevance import Relevant, co_liked, franchises, read_likes

MAX_COVERAGE_QUERIES = 5000


class QuerySet(NamedTuple):
    """Queries of one relevance definition: the metric's name, and relevant rows by query row."""

    name: str
    relevant: Relevant

    @property
    def kind(self) -> str:
        """`franchise` or `colike`."""
        return self.name.split("_")[0]


class QueryHalves(NamedTuple):
    """Query rows that weights are chosen on, and query rows that scores are reported on."""

    choosing: list[int]
    reported: list[int]


class ReportedQueries(NamedTuple):
    """Query rows of the reported half, and the relevant rows of each."""

    rows: list[int]
    relevant: RelevantRows


def is_reported_query(source: str, movie_id: int) -> bool:
    """Whether a movie's query belongs to the half that scores are reported on."""
    return hashlib.sha256(f"{source}/{movie_id}".encode()).digest()[0] % 2 == 1


def build_query_sets(rows: pa.Table, ratings: RatingsRef | None) -> list[QuerySet]:
    """Query sets of franchises and, if there are ratings, of co-liked movies; without empty ones.

    Raises:
        UserError: the ratings changed while the run was reading them.
    """
    query_sets = [QuerySet("franchise_recall_at_10", franchises(rows["collection"].to_pylist()))]
    if ratings:
        movies = zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True)
        row_by_id = {
            movie_id: row for row, (name, movie_id) in enumerate(movies) if name == ratings.source
        }
        likes = read_likes(*ratings.files, row_by_id)
        require_same_ratings(ratings)
        query_sets.append(QuerySet("colike_ndcg_at_10", co_liked(likes)))
    return [query_set for query_set in query_sets if query_set.relevant]


def split_queries(catalogue: Catalogue, rows: Sequence[int]) -> QueryHalves:
    """Query rows split into the choosing and the reported half."""
    halves = QueryHalves([], [])
    movies = catalogue.movies.select(["source", "id"]).take(pa.array(rows, pa.int64()))
    for row, movie in zip(rows, movies.to_pylist(), strict=True):
        is_reported = is_reported_query(movie["source"], movie["id"])
        (halves.reported if is_reported else halves.choosing).append(row)
    return halves


def reported_queries(catalogue: Catalogue, query_set: QuerySet) -> ReportedQueries:
    """The queries of a set that scores are reported on, ordered by row."""
    rows = split_queries(catalogue, sorted(query_set.relevant)).reported
    return ReportedQueries(rows, [query_set.relevant[row] for row in rows])


def coverage_queries(catalogue: Catalogue, limit: int = MAX_COVERAGE_QUERIES) -> list[int]:
    """Query rows for measuring catalogue coverage: all, or an even sample of at most `limit`."""
    step = max(1, -(-len(catalogue) // limit))
    return list(range(0, len(catalogue), step))
