from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import RatingsRef, UserError
from tasks.data.companions.reference_files import ratings_digest
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import (
    QuerySet,
    build_query_sets,
    coverage_queries,
    even_sample,
    is_reported_query,
    reported_sets,
    split_queries,
)
from tests.support.index_rows import TITLES, rows

KEYWORDS = [list("abcde"), ["a"], list("abcdx"), list("vwxyz")]
COLLECTIONS = ["Alien", "Alien", None, "Rocky"]
FILMS = [f"Film {number}" for number in range(120)]


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


@pytest.fixture
def judged() -> pa.Table:
    """Four movies, of which three have enough keywords and two are of one collection."""
    return rows(TITLES[:4], keywords=KEYWORDS, collection=COLLECTIONS)


def query_set(table: pa.Table, name: str) -> QuerySet:
    (query_set,) = (part for part in build_query_sets(table, None, False) if part.name == name)
    return query_set


def score(query_set: QuerySet, row: int, scores: Sequence[float]) -> float:
    values = np.array(scores, np.float32)
    return query_set.metric(row, values, np.argsort(-values)[:10].tolist())


def write_ratings(folder: Path, source: str = "m") -> RatingsRef:
    """Twelve users who like the movies 1 to 30, twelve who like 31 to 60; TMDB ids are equal."""
    likes = [(user, 30 * (user // 12) + n) for user in range(24) for n in range(1, 31)]
    ratings, links = folder / "ratings.csv", folder / "links.csv"
    lines = [f"{user},{movie},5.0,0" for user, movie in likes]
    ratings.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    lines = [f"{n},0,{n}" for n in range(1, 121)]
    links.write_text("\n".join(["movieId,imdbId,tmdbId", *lines]) + "\n")
    digest = ratings_digest((ratings, links))
    return RatingsRef(source=source, files=(ratings, links), digest=digest)


def test_each_query_is_in_one_of_two_halves(catalogue):
    halves = [
        set(split_queries(catalogue, range(len(TITLES)), reported=half)) for half in (True, False)
    ]
    assert all(halves)
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(range(len(TITLES)))


def test_the_half_of_a_query_depends_on_source_and_id_alone(catalogue):
    for row in split_queries(catalogue, [3, 1, 2], reported=True):
        assert is_reported_query("m", row + 1)
    assert {is_reported_query(source, 1) for source in "mnopqrst"} == {True, False}


def test_reported_queries_are_an_even_sample_of_their_half(catalogue):
    half = split_queries(catalogue, range(len(TITLES)), reported=True)
    assert split_queries(catalogue, range(len(TITLES)), reported=True, limit=3) == even_sample(
        half, 3
    )


def test_a_catalogue_without_judgements_has_no_query_sets():
    assert build_query_sets(rows(TITLES), None, with_keywords=False) == []


def test_movies_with_keywords_or_of_a_collection_are_queries(judged):
    query_sets = build_query_sets(judged, None, with_keywords=False)
    assert [(part.name, part.rows) for part in query_sets] == [
        ("keyword_ndcg_at_10", [0, 2, 3]),
        ("franchise_recall_at_10", [0, 1]),
    ]


def test_keywords_that_are_a_feature_do_not_judge(judged):
    query_sets = build_query_sets(judged, None, with_keywords=True)
    assert [part.name for part in query_sets] == ["franchise_recall_at_10"]


def test_keyword_ndcg_ranks_the_judged_movies_without_the_query(judged):
    """For the first movie the third is relevant, the fourth is not, the second is not judged."""
    keywords = query_set(judged, "keyword_ndcg_at_10")
    assert keywords.candidates.tolist() == [0, 2, 3]
    assert score(keywords, 0, [9, 3, 1]) == 1
    assert score(keywords, 0, [9, 1, 3]) == pytest.approx(1 / np.log2(3))
    assert score(keywords, 3, [3, 2, 9]) == pytest.approx(1 / np.log2(3))


def test_franchise_recall_looks_at_the_list(judged):
    franchise = query_set(judged, "franchise_recall_at_10")
    scores = np.zeros(4, np.float32)
    assert franchise.metric(0, scores, [1, 2]) == 1
    assert franchise.metric(0, scores, [2, 3]) == 0


def test_co_likes_are_judged_with_and_without_popularity(tmp_path):
    auc, ndcg = build_query_sets(rows(FILMS), write_ratings(tmp_path), with_keywords=False)
    assert (auc.name, ndcg.name) == ("colike_matched_auc", "colike_ndcg_at_10")
    assert auc.rows == ndcg.rows == list(range(60))
    same_group = np.repeat([1.0, 0.0], [30, 90])
    assert score(auc, 0, same_group) > 0.9
    assert score(auc, 0, -same_group) < 0.1
    assert score(auc, 0, np.ones(120)) == 0.5
    best = ndcg.metric(0, same_group, list(range(1, 11)))
    assert best > ndcg.metric(0, same_group, list(range(40, 50))) == 0


@pytest.mark.parametrize("movies", [99, 100])
def test_a_small_catalogue_has_no_movies_of_equal_popularity(movies, tmp_path):
    sets = build_query_sets(rows(FILMS[:movies]), write_ratings(tmp_path), with_keywords=False)
    names = [part.name for part in sets]
    assert names == ["colike_matched_auc", "colike_ndcg_at_10"][100 - movies :]


def test_only_sets_that_read_lists_need_them(judged, tmp_path):
    sets = build_query_sets(judged, None, False)
    sets += build_query_sets(rows(FILMS), write_ratings(tmp_path), False)
    assert [part.name for part in sets if part.needs_list] == [
        "franchise_recall_at_10",
        "colike_ndcg_at_10",
    ]


def test_the_half_of_a_query_never_changes():
    """Other halves would report scores on the queries that the weights were chosen on."""
    halves = [is_reported_query("movies_metadata", movie_id) for movie_id in range(1, 9)]
    assert halves == [False, True, True, True, False, True, True, True]


def test_all_judgements_of_a_source_are_used(tmp_path):
    keywords, collections = [list("abcde")] * 120, ["Alien"] * 120
    table = rows(FILMS, keywords=keywords, collection=collections)
    sets = build_query_sets(table, write_ratings(tmp_path), with_keywords=False)
    assert [part.name for part in sets] == [
        *("keyword_ndcg_at_10", "franchise_recall_at_10"),
        *("colike_matched_auc", "colike_ndcg_at_10"),
    ]


def test_no_queries_have_two_empty_halves(catalogue):
    assert split_queries(catalogue, [], reported=True) == []
    assert split_queries(catalogue, [], reported=False) == []


def test_ratings_judge_movies_of_their_source_alone(tmp_path):
    assert build_query_sets(rows(FILMS), write_ratings(tmp_path, "other"), False) == []


def test_ratings_that_changed_while_they_were_read_are_refused(tmp_path):
    ratings = write_ratings(tmp_path)
    with ratings.files[0].open("a") as file:
        file.write("99,1,5.0,0\n")
    with pytest.raises(UserError, match="changed while it was read"):
        build_query_sets(rows(FILMS), ratings, with_keywords=False)


def test_scores_are_reported_on_the_queries_of_one_half(catalogue):
    every = QuerySet("a", list(range(len(TITLES))), lambda *_: 0.0)
    choosing = split_queries(catalogue, every.rows, reported=False)
    (reported,) = reported_sets(catalogue, [every, every._replace(name="b", rows=choosing)])
    assert (reported.name, reported.metric) == ("a", every.metric)
    assert reported.rows == split_queries(catalogue, every.rows, reported=True)


def test_coverage_queries_are_an_even_sample_of_limited_size(catalogue):
    assert len(coverage_queries(catalogue)) == len(TITLES)
    assert coverage_queries(catalogue, limit=5) == [0, 4, 8, 12, 16]


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [(3, 5, [0, 1, 2]), (6, 5, [0, 2, 4]), (10, 5, [0, 2, 4, 6, 8]), (0, 5, [])],
)
def test_an_even_sample_takes_every_row_or_every_k_th(count, limit, expected):
    assert even_sample(range(count), limit) == expected
