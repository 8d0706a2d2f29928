import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import (
    QuerySet,
    build_query_sets,
    coverage_queries,
    is_reported_query,
    reported_queries,
    split_queries,
)
from tests.index_rows import TITLES, rows


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


def test_each_query_is_in_one_of_two_halves(catalogue):
    queries = list(range(len(TITLES)))
    halves = split_queries(catalogue, queries)
    assert sorted(halves.choosing + halves.reported) == queries
    assert halves.choosing
    assert halves.reported


def test_the_half_of_a_query_depends_on_source_and_id_alone(catalogue):
    for row in split_queries(catalogue, [3, 1, 2]).reported:
        assert is_reported_query("m", row + 1)


def test_reported_queries_come_with_their_relevant_movies(catalogue):
    relevant = {row: np.array([(row + 1) % len(TITLES)]) for row in range(len(TITLES))}
    queries = reported_queries(catalogue, QuerySet("franchise_recall_at_10", relevant))
    assert queries.rows == split_queries(catalogue, range(len(TITLES))).reported
    assert [rows_.tolist() for rows_ in queries.relevant] == [
        [(row + 1) % len(TITLES)] for row in queries.rows
    ]


def test_a_catalogue_without_collections_and_ratings_has_no_query_sets():
    assert build_query_sets(rows(TITLES), None) == []


def test_coverage_queries_are_an_even_sample_of_limited_size(catalogue):
    assert len(coverage_queries(catalogue)) == len(TITLES)
    assert coverage_queries(catalogue, limit=5) == [0, 4, 8, 12, 16]
