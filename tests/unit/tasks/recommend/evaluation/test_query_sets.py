from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import RatingsRef, UserError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import (
    QuerySet,
    build_query_sets,
    cluster_numbers,
    coverage_queries,
    film_names,
    query_halves,
    rows_of_half,
)
from tasks.recommend.evaluation.ranking_metrics import ndcg
from tasks.recommend.evaluation.relevance import (
    USER_GROUPS,
    Half,
    co_liked,
    co_liked_without_groups,
    half_of,
    read_likes,
    stable_sample,
)
from tasks.recommend.scoring import Array
from tests.support.index_rows import TITLES, rows
from tests.support.judgements import (
    HALVES,
    Like,
    group_likes,
    two_groups,
    users_of_half,
    write_ratings,
)

KEYWORDS = [list("abcde"), ["a"], list("abcdx"), list("vwxyz")]
#: The movies of Alien are choosing queries. The third movie, by its id, and Rocky are reported.
COLLECTIONS = ["Alien", "Alien", None, "Rocky"]
FILMS = [f"Film {number}" for number in range(120)]
CO_LIKES = ("colike_matched_auc", "colike_ndcg_at_10")
NO_LIMIT = 1000
Scores = dict[str, list[list[float]]]


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


@pytest.fixture
def judged() -> pa.Table:
    """Four movies, of which three have enough keywords and two are of one collection."""
    return rows(TITLES[:4], keywords=KEYWORDS, collection=COLLECTIONS)


@pytest.fixture
def pairs() -> pa.Table:
    """Sixty franchises of two movies with equal keywords; the movies of a franchise are apart."""
    collections = [f"Series {row % 60}" for row in range(120)]
    return rows(FILMS, keywords=[list("abcde")] * 120, collection=collections)


def by_name(
    table: pa.Table, half: Half, ratings: RatingsRef | None = None, **options: Any
) -> dict[str, QuerySet]:
    """Query sets of one half by the name of their metric."""
    sets = build_query_sets(table, ratings, with_keywords=False, half=half, **options)
    return {query_set.name: query_set for query_set in sets}


def score(query_set: QuerySet, row: int, scores: Sequence[float] | Array) -> float | Array:
    values = np.array(scores, np.float32)
    return query_set.metric(row, values, np.argsort(-values)[:10].tolist())


def all_scores(sets: Mapping[str, QuerySet]) -> Scores:
    """Scores of all queries of each set, for random scores of the movies."""
    rng = np.random.default_rng(0)
    movies = rng.random((len(FILMS), len(FILMS)), np.float32)
    return {
        name: [np.atleast_1d(score(part, row, movies[row])).tolist() for row in part.rows]
        for name, part in sets.items()
    }


def random_likes(half: Half, number: int, share: float = 0.5) -> list[Like]:
    """Likes of users of one half, each of a share of the movies 1 to 60."""
    rng = np.random.default_rng(0)
    users = users_of_half(half, number)
    return [(user, movie) for user in users for movie in range(1, 61) if rng.random() < share]


def test_each_query_is_in_one_of_two_halves(judged):
    halves = [set(rows_of_half(judged, range(4), half, NO_LIMIT)) for half in HALVES]
    assert halves == [{0, 1}, {2, 3}]


def test_the_half_of_a_movie_without_franchise_depends_on_title_and_year():
    """An empty name is no franchise. Two catalogues may write one title in two ways."""
    titles, years = ["Amélie", "AMELIE!", "Amélie", "Up"], [2001, 2001, 2010, None]
    table = rows(titles, year=pa.array(years, pa.int16()), collection=[None, "", None, ""])
    assert film_names(table) == ["amelie (2001)", "amelie (2001)", "amelie (2010)", "up (None)"]
    assert query_halves(table) == [half_of(name) for name in film_names(table)]


def test_a_copy_without_its_franchise_is_in_the_half_of_the_franchise():
    """Another catalogue may know the film, but not the franchise."""
    collections = [f"Series {number}" for number in range(40)] + [None] * 40
    titles = [f"Film {number}" for number in range(40)] * 2
    table = rows(titles, collection=collections, year=pa.array([2000] * 80, pa.int16()))
    assert query_halves(table)[:40] == query_halves(table)[40:]
    assert cluster_numbers(table)[:40] == cluster_numbers(table)[40:]
    assert len(set(cluster_numbers(table))) == 40


def test_a_movie_with_a_franchise_is_in_the_half_of_its_own():
    """Another catalogue names the franchise of the film otherwise; pairs have to stay together."""
    titles = [
        *(f"Film {number}" for number in range(40)),
        *(f"Film {number}" for number in range(20)),
    ]
    collections = [f"Series {number % 20}" for number in range(40)] + ["Other"] * 20
    table = rows(titles, collection=collections, year=pa.array([2000] * 60, pa.int16()))
    halves = query_halves(table)
    assert halves[:20] == halves[20:40] == [half_of(f"franchise Series {row}") for row in range(20)]


def test_a_renamed_source_has_the_same_halves_and_queries():
    """Weekly exports are often named by their date."""
    before, after = (rows(TITLES, source=[name] * len(TITLES)) for name in ("w47", "w48"))
    assert query_halves(before) == query_halves(after)
    samples = [rows_of_half(table, range(len(TITLES)), "reported", 3) for table in (before, after)]
    assert samples[0] == samples[1]


def test_all_movies_of_a_franchise_are_in_one_half(pairs):
    halves = query_halves(pairs)
    assert set(halves) == set(HALVES)
    assert halves[:60] == halves[60:] == [half_of(f"franchise Series {row}") for row in range(60)]


def test_the_half_of_a_query_never_changes():
    """Other halves would report scores on the queries that the weights were chosen on."""
    halves = query_halves(rows(TITLES[:8]))
    assert [half == "reported" for half in halves] == [
        *(True, True, True, False, False, False, False, False)
    ]


def test_queries_of_a_half_are_in_order_and_evenly_sampled():
    table = rows(TITLES)
    half = rows_of_half(table, range(len(TITLES)), "reported", NO_LIMIT)
    assert half == sorted(half)
    sample = rows_of_half(table, half[::-1], "reported", limit=3)
    assert sample == stable_sample(half, film_names(table), 3)


def test_no_queries_have_two_empty_halves():
    assert [rows_of_half(rows(TITLES), [], half, NO_LIMIT) for half in HALVES] == [[], []]


@pytest.mark.parametrize("half", HALVES)
def test_a_catalogue_without_judgements_has_no_query_sets(half):
    assert by_name(rows(TITLES), half) == {}


@pytest.mark.parametrize(
    ("half", "expected"),
    [
        ("choosing", {"keyword_ndcg_at_10": [0], "franchise_recall_at_10": [0, 1]}),
        ("reported", {"keyword_ndcg_at_10": [2, 3]}),
    ],
)
def test_movies_with_keywords_or_of_a_collection_are_queries_of_their_half(judged, half, expected):
    assert {name: part.rows for name, part in by_name(judged, half).items()} == expected


@pytest.mark.parametrize("name", ["keyword_ndcg_at_10", "franchise_recall_at_10"])
def test_both_halves_together_have_every_query_once(pairs, name):
    choosing, reported = (by_name(pairs, half)[name].rows for half in HALVES)
    assert sorted(choosing + reported) == list(range(120))


def test_keywords_that_are_a_feature_do_not_judge(judged):
    query_sets = build_query_sets(judged, None, with_keywords=True, half="choosing")
    assert [part.name for part in query_sets] == ["franchise_recall_at_10"]


def test_keyword_ndcg_ranks_the_judged_movies_of_the_half_without_the_query():
    """For the first movie the second is relevant, the third is not, the fourth is not judged."""
    titles = [f"Film {row}" for row in range(40)]
    halves = query_halves(rows(titles))
    first, second, third, fourth = [row for row in range(40) if halves[row] == "choosing"][:4]
    keywords: list[list[str]] = [[] for _ in titles]
    keywords[first], keywords[second], keywords[third] = KEYWORDS[0], KEYWORDS[2], KEYWORDS[3]
    keywords[fourth] = ["a"]
    for row in range(40):
        if halves[row] == "reported":
            keywords[row] = KEYWORDS[0]
    choosing = by_name(rows(titles, keywords=keywords), "choosing")["keyword_ndcg_at_10"]
    assert choosing.candidates is not None
    assert choosing.candidates.tolist() == choosing.rows == [first, second, third]
    assert score(choosing, first, [9, 3, 1]) == 1
    assert score(choosing, first, [9, 1, 3]) == pytest.approx(1 / np.log2(3))


def test_keywords_of_the_other_half_change_no_score_of_a_half():
    titles = [f"Film {row}" for row in range(60)]
    halves, rng = query_halves(rows(titles)), np.random.default_rng(0)
    keywords = [rng.choice(list("abcdefghijkl"), 6, replace=False).tolist() for _ in titles]
    others = [row for row in range(60) if halves[row] == "reported"]
    changed = keywords.copy()
    for row, other in zip(others, rng.permutation(others), strict=True):
        changed[row] = keywords[other]
    ranking = rng.random(60)

    def scores(names: list[list[str]], half: str) -> list[float]:
        part = by_name(rows(titles, keywords=names), half)["keyword_ndcg_at_10"]
        return [score(part, row, ranking[part.candidates].tolist()) for row in part.rows]

    assert scores(changed, "choosing") == scores(keywords, "choosing")
    assert scores(changed, "reported") != scores(keywords, "reported")


def test_franchise_recall_looks_at_the_list(judged):
    franchise = by_name(judged, "choosing")["franchise_recall_at_10"]
    scores = np.zeros(4, np.float32)
    assert franchise.metric(0, scores, [1, 2]) == 1
    assert franchise.metric(0, scores, [2, 3]) == 0


@pytest.mark.parametrize("half", HALVES)
def test_co_likes_are_judged_with_and_without_popularity(half, tmp_path):
    sets = by_name(rows(FILMS), half, write_ratings(tmp_path))
    assert tuple(sets) == CO_LIKES
    auc, ndcg_set = sets.values()
    same_group = np.repeat([1.0, 0.0], [30, 90])
    assert np.all(score(auc, 0, same_group) > 0.9)
    assert np.all(score(auc, 0, -same_group) < 0.1)
    assert np.all(score(auc, 0, np.ones(120)) == 0.5)
    best = ndcg_set.metric(0, same_group, list(range(1, 11)))
    assert np.all(best > ndcg_set.metric(0, same_group, list(range(40, 50))))
    assert np.all(ndcg_set.metric(0, same_group, list(range(40, 50))) == 0)


def test_co_liked_movies_are_queries_of_both_halves(tmp_path):
    """The likes, not the movies, belong to one half."""
    ratings = write_ratings(tmp_path)
    for half in HALVES:
        sets = by_name(rows(FILMS, collection=["Alien"] * 120), half, ratings)
        assert [sets[name].rows for name in CO_LIKES] == [list(range(60))] * 2


@pytest.mark.parametrize(("half", "other"), [HALVES, HALVES[::-1]])
def test_users_of_the_other_half_change_no_judgement(half, other, tmp_path):
    """They like all of the movies 1 to 60, instead of one of two groups of them."""
    changed = group_likes(users_of_half(other, 24), [range(1, 61)])
    changed += [(user, movie) for user, movie in two_groups() if half_of(f"user {user}") == half]

    def judgements(likes: Sequence[Like]) -> tuple[Scores, Scores]:
        ratings = write_ratings(tmp_path, likes=likes)
        of_half, of_other = (by_name(rows(FILMS), part, ratings) for part in (half, other))
        return all_scores(of_half), all_scores(of_other)

    before, after = judgements(two_groups()), judgements(changed)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_co_like_score_is_by_all_users_first_then_without_each_group(tmp_path):
    """Relevant movies in even rows score higher than all others, those in odd rows lower."""
    ratings = write_ratings(tmp_path, likes=random_likes("reported", 60))
    sets, every_row = (
        by_name(rows([f"Film {n}" for n in range(400)]), "reported", ratings),
        range(400),
    )
    row_by_id = {str(row + 1): row for row in range(60)}
    likes = read_likes(*ratings.files, row_by_id, "reported")
    relevant = co_liked(likes)
    without_group = co_liked_without_groups(likes, list(relevant))
    for row in relevant:
        lists = [relevant[row], *(group[row] for group in without_group)]
        is_relevant = np.isin(every_row, np.concatenate(lists))
        scores = np.where(is_relevant, np.where(np.arange(400) % 2, 0, 2), 1)
        hits = list(range(row + 1, row + 11))
        auc, gain = (sets[name].metric(row, scores, hits) for name in CO_LIKES)
        assert len(np.unique(auc)) > 1
        assert auc == pytest.approx([(movies % 2 == 0).mean() for movies in lists])
        assert gain == pytest.approx([ndcg(hits, movies) for movies in lists])


def test_a_query_without_co_liked_movies_without_a_group_keeps_its_score(tmp_path):
    """Users 0, 10 and 20, the first group, are the only ones who like two movies or more."""
    users = users_of_half("reported", 30)
    group = users[::USER_GROUPS]
    likes = [(user, movie) for user in group for movie in range(1, 22)]
    likes += [(user, 1) for user in users[1:8]]
    likes += [(user, 40) for user in users if user not in {*group, *users[1:8]}]
    sets = by_name(rows(FILMS), "reported", write_ratings(tmp_path, likes=likes))
    for name in CO_LIKES:
        assert sets[name].rows == [0]
        values = sets[name].metric(0, np.ones(120), list(range(1, 11)))
        assert values[1] == values[0]
        assert not np.isnan(values).any()


def test_a_small_catalogue_has_fewer_movies_to_match(tmp_path):
    """Of 100 movies that nearly all users like, fewer than fifty are relevant to no group."""
    users, rng = users_of_half("reported", 30), np.random.default_rng(0)
    likes = [(user, movie) for user in users for movie in range(1, 101) if rng.random() < 0.95]
    sets = by_name(rows(FILMS[:100]), "reported", write_ratings(tmp_path, likes=likes))
    auc = sets["colike_matched_auc"]
    values = [auc.metric(row, np.ones(100), []) for row in auc.rows]
    assert len(values) > 50
    assert np.array(values) == pytest.approx(0.5)


@pytest.mark.parametrize("movies", [99, 100])
def test_a_small_catalogue_has_no_movies_of_equal_popularity(movies, tmp_path):
    sets = by_name(rows(FILMS[:movies]), "reported", write_ratings(tmp_path))
    assert tuple(sets) == CO_LIKES[100 - movies :]


def test_only_sets_that_read_lists_need_them(judged, tmp_path):
    sets = by_name(judged, "choosing") | by_name(rows(FILMS), "choosing", write_ratings(tmp_path))
    assert [name for name, part in sets.items() if part.needs_list] == [
        "franchise_recall_at_10",
        "colike_ndcg_at_10",
    ]


def test_all_judgements_of_a_source_are_used(pairs, tmp_path):
    for half in HALVES:
        assert list(by_name(pairs, half, write_ratings(tmp_path))) == [
            *("keyword_ndcg_at_10", "franchise_recall_at_10"),
            *CO_LIKES,
        ]


def test_each_set_has_a_sample_of_its_queries(pairs, tmp_path):
    ratings = write_ratings(tmp_path)
    every, sampled = (by_name(pairs, "reported", ratings, **limit) for limit in ({}, {"limit": 7}))
    assert list(sampled) == list(every)
    for name, part in sampled.items():
        assert part.rows == stable_sample(every[name].rows, film_names(pairs), 7)


def test_queries_of_a_franchise_are_one_cluster(pairs, tmp_path):
    """The movies of a franchise are 60 rows apart."""
    sets = by_name(pairs, "reported", write_ratings(tmp_path), limit=40)
    for part in sets.values():
        assert len(part.clusters) == len(part.rows)
        franchises = [row % 60 for row in part.rows]
        assert len(set(part.clusters)) == len(set(franchises))
        assert len(set(zip(part.clusters, franchises, strict=True))) == len(set(franchises))


def test_each_movie_without_franchise_is_a_cluster_of_its_own(tmp_path):
    """Rows 2 and 3, and 4 and 5, are a franchise each; an empty name is none."""
    collections = [None, "", "Alien", "Alien", "Rocky", "Rocky", *["", None] * 57]
    table = rows(FILMS, collection=collections)
    clusters = by_name(table, "reported", write_ratings(tmp_path))["colike_ndcg_at_10"].clusters
    assert len(clusters) == 60
    assert len(set(clusters)) == 58
    assert clusters[2] == clusters[3] != clusters[4] == clusters[5]


@pytest.mark.parametrize("half", HALVES)
def test_ratings_judge_movies_of_their_source_alone(half, tmp_path):
    assert by_name(rows(FILMS), half, write_ratings(tmp_path, "other")) == {}


def test_ratings_that_changed_while_they_were_read_are_refused(tmp_path: Path):
    ratings = write_ratings(tmp_path)
    with ratings.files[0].open("a") as file:
        file.write("99,1,5.0,0\n")
    with pytest.raises(UserError, match="changed while it was read"):
        by_name(rows(FILMS), "reported", ratings)


def test_coverage_queries_are_an_even_sample_of_limited_size(catalogue):
    assert len(coverage_queries(catalogue)) == len(TITLES)
    assert coverage_queries(catalogue, limit=5) == [0, 4, 8, 12, 16]
