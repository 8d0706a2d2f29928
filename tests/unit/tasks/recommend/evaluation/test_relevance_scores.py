from collections.abc import Sequence

import numpy as np
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    BLOCK,
    RECOMMENDER,
    Queries,
    Scorers,
    fit_bm25,
    recommender_scorer,
    word_counts,
)
from tasks.recommend.evaluation.query_sets import QuerySet
from tasks.recommend.evaluation.relevance_scores import (
    KnownItem,
    known_item_rows,
    ranked_lists,
    score_known_items,
    score_movies,
)
from tasks.recommend.scoring import Array, RankConfig
from tests.support.index_rows import TITLES, rows
from tests.support.text_models import WORDS_ALONE, WordModel

FILMS = [f"Film {number}" for number in range(BLOCK + 8)]


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


@pytest.fixture
def films() -> Catalogue:
    """More movies than are scored at a time."""
    return Catalogue(rows(FILMS))


def all_scorers(catalogue: Catalogue, config: RankConfig = WORDS_ALONE) -> Scorers:
    """The recommender and all baselines."""
    texts = [f"story word{row % 4} word{row % 7}" for row in range(len(catalogue))]
    return Scorers(catalogue, config, fit_bm25(word_counts(texts, catalogue.words)))


def own_score(row: int, scores: Array, hits: Sequence[int]) -> float:
    """The score of the query movie, which is 1 for its own words."""
    return float(scores[row])


def first_hit(row: int, scores: Array, hits: Sequence[int]) -> float:
    return float(hits[0])


def test_evaluated_lists_equal_those_that_a_reader_gets(catalogue):
    lists = ranked_lists(catalogue, [0, 3], recommender_scorer(catalogue, WORDS_ALONE))
    for row, evaluated in zip([0, 3], lists, strict=True):
        hits = catalogue.rank(catalogue.features_of([row]), [row], 10, WORDS_ALONE)
        assert [hit.row for hit in hits] == evaluated.tolist()


def test_short_lists_are_filled_with_minus_one():
    catalogue = Catalogue(rows(TITLES[:3]))
    lists = ranked_lists(catalogue, [0], recommender_scorer(catalogue, WORDS_ALONE))
    assert set(lists[0, :2].tolist()) == {1, 2}
    assert lists[0, 2:].tolist() == [-1] * 8


def test_scores_are_in_the_order_of_the_queries_of_each_set(films):
    rows_of_first, rows_of_second = [BLOCK + 3, 0, 5], [5, BLOCK + 1]
    sets = [
        QuerySet("row", rows_of_first, lambda row, *_: float(row)),
        QuerySet("own", rows_of_second, own_score),
    ]
    scores, _ = score_movies(all_scorers(films), sets, [], diversity=0.0)
    for by_set in scores.values():
        assert by_set["row"].tolist() == rows_of_first
    assert scores[RECOMMENDER]["own"].tolist() == pytest.approx([1, 1])


def test_every_query_is_scored_once_whatever_number_of_sets_it_is_in(films, monkeypatch):
    scorers, scored = Scorers(films, WORDS_ALONE), list[int]()
    movie_queries = scorers.movie_queries

    def record(rows_of_block: Sequence[int]) -> Queries:
        scored.extend(rows_of_block)
        return movie_queries(rows_of_block)

    monkeypatch.setattr(scorers, "movie_queries", record)
    every = list(range(len(FILMS)))
    sets = [QuerySet("a", every, own_score), QuerySet("b", every[::-2], own_score)]
    score_movies(scorers, sets, every[::3], diversity=0.0)
    assert scored == every


def test_keyword_queries_score_their_candidates_alone(films):
    """Every scorer gives a candidate the score that it has among all movies."""
    candidates = np.array([30, 3, 7])

    def second(row: int, scores: Array, hits: Sequence[int]) -> float:
        assert len(scores) == len(candidates)
        return float(scores[1])

    scorers = all_scorers(films)
    queries = QuerySet("some", [3, 5], second, needs_list=False, candidates=candidates)
    scores, _ = score_movies(scorers, [queries], [], diversity=0.0)
    every = scorers.scores(scorers.movie_queries([3, 5]))
    for name in set(scorers.names) - {"random"}:
        assert scores[name]["some"] == pytest.approx(every[name][:, 3], abs=1e-6), name


def test_a_set_without_need_of_lists_gets_none(films):
    sets = [QuerySet("a", [4], lambda row, scores, hits: float(len(hits)), needs_list=False)]
    scores, _ = score_movies(Scorers(films, WORDS_ALONE), sets, [], diversity=0.0)
    assert scores[RECOMMENDER]["a"].tolist() == [0]


def test_lists_are_those_of_the_listed_rows_in_their_order(films):
    listed = list(reversed(range(len(FILMS))))
    sets = [QuerySet("first", [4, 7], first_hit)]
    scores, lists = score_movies(Scorers(films, WORDS_ALONE), sets, listed, diversity=0.0)
    expected = ranked_lists(films, listed, recommender_scorer(films, WORDS_ALONE))
    assert np.array_equal(lists[RECOMMENDER], expected)
    assert scores[RECOMMENDER]["first"].tolist() == [expected[-5, 0], expected[-8, 0]]


def test_a_movie_of_the_catalogue_is_found_by_its_words(catalogue):
    """Only the movie in row 6 has both words; ten movies have more votes."""
    texts_by_words = WORDS_ALONE.model_copy(update={"words": 0.0, "votes": 1.0})
    scorers, items = all_scorers(catalogue, texts_by_words), [KnownItem("word2 word6", 6)]
    scores = score_known_items(scorers, items, WordModel(), diversity=0.0)
    assert scores[RECOMMENDER].tolist() == scores["bm25"].tolist() == [1]
    assert scores["popularity"].tolist() == [0]


def test_a_text_without_known_words_finds_nothing(catalogue):
    items = [KnownItem("nobody knows", 18), KnownItem("word2 word6", 6)]
    scores = score_known_items(all_scorers(catalogue), items, WordModel(), diversity=0.0)
    assert scores[RECOMMENDER].tolist() == [0, 1]
    assert {len(values) for values in scores.values()} == {2}
    assert all(values[0] == 0 for values in scores.values())


def test_known_items_are_movies_of_their_source_in_the_catalogue(catalogue):
    items = [("1", "a ship"), ("999", "elsewhere"), ("7", "a quote")]
    assert known_item_rows(catalogue.positions, "m", items) == [
        KnownItem("a ship", 0),
        KnownItem("a quote", 6),
    ]
    assert known_item_rows(catalogue.positions, "other", items) == []


@pytest.mark.parametrize("candidates", [None, np.arange(10)])
def test_a_metric_of_several_values_has_a_row_per_query(films, candidates):
    """The second value of a query is missing."""

    def metric(row: int, scores: Array, hits: Sequence[int]) -> Array:
        return np.array([row, np.nan, len(scores)])

    queries = QuerySet("several", [BLOCK + 3, 0, 5], metric, candidates=candidates)
    scores, _ = score_movies(all_scorers(films), [queries], [], diversity=0.0)
    number = len(films) if candidates is None else 10
    for by_set in scores.values():
        values = by_set["several"]
        assert values.dtype == np.float32
        assert values[:, [0, 2]].tolist() == [[row, number] for row in queries.rows]
        assert np.isnan(values[:, 1]).all()
