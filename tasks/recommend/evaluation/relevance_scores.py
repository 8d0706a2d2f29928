"""Query sets and scorers -> score of every query and scorer, and lists, in one pass."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tasks.core.contracts import UserError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    BLOCK,
    Queries,
    Scorer,
    Scorers,
    word_counts,
)
from tasks.recommend.evaluation.query_sets import QuerySet
from tasks.recommend.evaluation.ranking_metrics import K, Lists, recall
from tasks.recommend.scoring import Array
from tasks.recommend.text_model import TextModel

KNOWN_ITEMS = "known_item_recall_at_10"
#: Scores of the queries by scorer and by name of the query set: (n_queries,), or with further
#: columns as `QuerySet.metric` returns them.
QueryScores = dict[str, dict[str, Array]]


class KnownItem(NamedTuple):
    """A description in free text, and the catalogue row of the movie that it describes."""

    text: str
    row: int


def ranked_lists(
    catalogue: Catalogue, queries: Sequence[int], scorer: Scorer, diversity: float = 0.0
) -> Lists:
    """Top-10 rows (n_queries, 10) of each query as a reader gets them; -1 fills shorter lists."""
    lists = np.full((len(queries), K), -1, np.int64)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        for position, (row, scores) in enumerate(zip(block, scorer(block), strict=True), start):
            top_rows = catalogue.top_rows(scores, [row], K, diversity)
            lists[position, : len(top_rows)] = top_rows
    return lists


def score_movies(
    scorers: Scorers, query_sets: Sequence[QuerySet], listed_rows: Sequence[int], diversity: float
) -> tuple[QueryScores, dict[str, Lists]]:
    """Scores of the queries of all sets, and the lists of `listed_rows`, of each scorer."""
    ranked_all = [queries for queries in query_sets if queries.candidates is None]
    query_scores, lists = _score_all(scorers, ranked_all, listed_rows, diversity)
    for queries in query_sets:
        if queries.candidates is not None:
            for name, scores in _score_among(scorers, queries, queries.candidates).items():
                query_scores[name][queries.name] = scores
    return query_scores, lists


def _score_among(
    scorers: Scorers, queries: QuerySet, candidates: NDArray[np.int64]
) -> dict[str, Array]:
    """Scores of queries that rank some movies alone, by scorer."""
    among = scorers.among(candidates)
    values: dict[str, list[float | Array]] = {name: [] for name in scorers.names}
    for start in range(0, len(queries.rows), BLOCK):
        block = queries.rows[start : start + BLOCK]
        for name, scores in among.scores(scorers.movie_queries(block)).items():
            values[name] += map(queries.metric, block, scores, repeat([]))
    return {name: np.array(scores, np.float32) for name, scores in values.items()}


def _score_all(
    scorers: Scorers, query_sets: Sequence[QuerySet], listed_rows: Sequence[int], diversity: float
) -> tuple[QueryScores, dict[str, Lists]]:
    """As `score_movies`, of sets that rank all movies; every query is scored once."""
    rows = sorted({*listed_rows, *(row for queries in query_sets for row in queries.rows)})
    lists = {name: np.full((len(rows), K), -1, np.int64) for name in scorers.names}
    values = {
        name: {queries.name: dict[int, float | Array]() for queries in query_sets}
        for name in scorers.names
    }
    members = [(queries, set(queries.rows)) for queries in query_sets]
    with_list = set(listed_rows).union(*(rows for queries, rows in members if queries.needs_list))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        for name, scores in scorers.scores(scorers.movie_queries(block)).items():
            for position, (row, row_scores) in enumerate(zip(block, scores, strict=True), start):
                hits = list[int]()
                if row in with_list:
                    hits = scorers.catalogue.top_rows(row_scores, [row], K, diversity)
                lists[name][position, : len(hits)] = hits
                for queries, query_rows in members:
                    if row in query_rows:
                        value = queries.metric(row, row_scores, hits)
                        values[name][queries.name][row] = value
    return _by_query(values, query_sets), _listed(lists, rows, listed_rows)


def _by_query(
    values: Mapping[str, Mapping[str, Mapping[int, float | Array]]], query_sets: Sequence[QuerySet]
) -> QueryScores:
    """Scores as arrays in the order of the query rows of each set."""
    return {
        name: {
            queries.name: np.array([by_set[queries.name][row] for row in queries.rows], np.float32)
            for queries in query_sets
        }
        for name, by_set in values.items()
    }


def _listed(
    lists: Mapping[str, Lists], rows: Sequence[int], listed_rows: Sequence[int]
) -> dict[str, Lists]:
    positions = np.searchsorted(rows, listed_rows)
    return {name: all_lists[positions] for name, all_lists in lists.items()}


def score_known_items(
    scorers: Scorers, items: Sequence[KnownItem], model: TextModel, diversity: float
) -> dict[str, Array]:
    """Recall@10 (n_items,) of the described movie by scorer; 0 for a text of unknown words."""
    values: dict[str, list[float]] = {name: [] for name in scorers.names}
    documents = model.documents([""] * len(items), [item.text for item in items])
    counts = word_counts(documents, scorers.catalogue.words)
    for seed, item in enumerate(items):
        hits = _text_hits(scorers, item.text, model, counts[[seed]], seed, diversity)
        for name in scorers.names:
            values[name].append(recall(hits.get(name, []), np.array([item.row])))
    return {name: np.array(recalls, np.float32) for name, recalls in values.items()}


def _text_hits(
    scorers: Scorers,
    text: str,
    model: TextModel,
    counts: sp.csr_array,
    seed: int,
    diversity: float,
) -> dict[str, list[int]]:
    """List of a text by scorer; empty if the model knows no word of it."""
    try:
        features = model.text_features(text, scorers.catalogue)
    except UserError:
        return {}
    scores = scorers.scores(Queries(features, counts, [seed]), is_text=True)
    return {
        name: scorers.catalogue.top_rows(values[0], [], K, diversity)
        for name, values in scores.items()
    }


def known_item_rows(
    positions: Mapping[tuple[str, str], int], source: str, items: Iterable[tuple[str, str]]
) -> list[KnownItem]:
    """Known items (id, text) of a source whose movie is in the catalogue, at `positions`."""
    return [
        KnownItem(text, positions[source, movie_id])
        for movie_id, text in items
        if (source, movie_id) in positions
    ]
