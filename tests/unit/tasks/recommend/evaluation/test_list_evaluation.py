from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import KnownItemsRef, ScoresRef, UserError
from tasks.core.storage import store
from tasks.data.companions.reference_files import find_known_items
from tasks.recommend.evaluation.baseline_rankers import BASELINES, RECOMMENDER
from tasks.recommend.evaluation.list_evaluation import GATE_QUERIES
from tasks.recommend.evaluation.query_sets import MAX_QUERIES, rows_of_half
from tasks.recommend.evaluation.ranking_metrics import mean_with_interval
from tasks.recommend.evaluation.relevance import USER_GROUPS
from tasks.recommend.scoring import Array
from tests.conftest import movie, write_csv
from tests.support.evaluated_lists import evaluate
from tests.support.index_rows import TITLES, rows
from tests.support.judgements import (
    HALVES,
    group_likes,
    names_of_half,
    users_of_half,
    write_ratings,
)
from tests.support.text_models import WORDS_ALONE

KEYWORDS = [list("abcde")] * len(TITLES)
SAME_WORDS = 28  # rows of `rows` from one to the next with the same words


@pytest.fixture
def judged() -> pa.Table:
    """Index rows in which all movies have the same keywords, and two are of one collection."""
    collections = ["Alien", "Alien", *[None] * (len(TITLES) - 2)]
    return rows(TITLES, keywords=KEYWORDS, collection=collections)


def known_items(folder: Path, **queries: str) -> KnownItemsRef:
    """`known_items.csv` beside a source `m`, with questions by id (`id_7`)."""
    source = write_csv(folder / "m.csv", [movie(0, "Horror")])
    items = [{"id": name.removeprefix("id_"), "query": text} for name, text in queries.items()]
    write_csv(folder / "known_items.csv", items, ["id", "query"])
    reference = find_known_items([str(source)])
    assert reference is not None
    return reference


def metrics_of(scores: ScoresRef) -> dict[str, float]:
    metrics: dict[str, float] = store.read_json(store.locate(scores) / "metrics.json")
    return metrics


def gate_queries_of(scores: ScoresRef) -> dict[str, Array]:
    """Stored scores of the recommender by metric."""
    with np.load(store.locate(scores) / GATE_QUERIES, allow_pickle=False) as queries:
        return {name: queries[name] for name in queries.files}


def scorers_of(scores: ScoresRef) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(
        store.locate(scores) / "scorers.parquet"
    ).to_pylist()
    return table


def test_lists_are_judged_by_keywords_and_known_items(judged, tmp_path):
    """Of the questions one is answered, one has no known word, one is of no movie here.

    The movies 9 and 13 are in the reported half.
    """
    items = known_items(tmp_path, id_9="word0 word1", id_13="nobody knows", id_999="word1")
    scores = evaluate(judged, known_items=items)
    metrics = metrics_of(scores)
    assert metrics["rec_keyword_ndcg_at_10"] == 1
    assert metrics["rec_known_item_recall_at_10"] == 0.5
    assert metrics["rec_baseline_bm25_known_item_recall_at_10"] == 0.5
    assert metrics["rec_baseline_popularity_known_item_recall_at_10"] == 0
    assert metrics["rec_queries_known_item"] == 2
    reported = rows_of_half(judged, range(len(TITLES)), "reported", MAX_QUERIES)
    assert metrics["rec_queries_keyword"] == len(reported)


def sequels(answered: Sequence[str], unanswered: Sequence[str]) -> pa.Table:
    """Franchises of two movies: those of an answered one have the same words, others do not."""
    collections: list[str | None] = [None] * (2 * SAME_WORDS)
    for row, name in enumerate(answered):
        collections[row] = collections[row + SAME_WORDS] = name
    for row, name in enumerate(unanswered, len(answered)):
        collections[row] = collections[row + SAME_WORDS + 1] = name
    return rows([f"Film {row}" for row in range(2 * SAME_WORDS)], collection=collections)


def test_lists_of_the_reported_half_are_scored_and_those_of_the_other_are_for_the_gate():
    choosing, reported = (names_of_half("Series", half, 3) for half in HALVES)
    scores = evaluate(sequels(answered=reported[:2], unanswered=choosing))
    assert metrics_of(scores)["rec_franchise_recall_at_10"] == 1
    assert metrics_of(scores)["rec_queries_franchise"] == 4
    assert gate_queries_of(scores)["franchise_recall_at_10"].tolist() == [0] * 6


def test_intervals_of_franchise_recall_are_by_franchise():
    """Queries in row order: four first movies, then their sequels."""
    names = names_of_half("Series", "reported", 4)
    metrics = metrics_of(evaluate(sequels(answered=names[:2], unanswered=names[2:])))
    expected = mean_with_interval(
        np.array([1, 1, 0, 0] * 2), "rec_franchise_recall_at_10", clusters=[0, 1, 2, 3] * 2
    )
    assert metrics | expected == metrics


def test_every_scorer_is_compared_by_every_judgement(judged, tmp_path):
    scores = evaluate(judged, known_items=known_items(tmp_path, id_9="word0 word1"))
    names = {(row["scorer"], row["metric"]) for row in scorers_of(scores)}
    judgements = ("keyword_ndcg_at_10", "known_item_recall_at_10", "top20_share")
    assert names >= {
        (scorer, metric) for scorer in (RECOMMENDER, *BASELINES) for metric in judgements
    }


def test_the_scores_of_single_queries_for_the_gate_are_those_of_the_choosing_half(judged, tmp_path):
    """The movies 9 and 13 are in the reported half, 8 and 14 in the choosing half."""
    reported = {"id_9": "nobody knows", "id_13": "nobody knows"}
    items = known_items(tmp_path, **reported, id_8="word3 word0", id_14="word1 word6")
    scores = evaluate(judged, known_items=items)
    assert metrics_of(scores)["rec_known_item_recall_at_10"] == 0
    by_metric = gate_queries_of(scores)
    assert by_metric["known_item_recall_at_10"].tolist() == [1, 1]
    choosing = rows_of_half(judged, range(len(TITLES)), "choosing", MAX_QUERIES)
    assert by_metric["keyword_ndcg_at_10"].tolist() == [1] * len(choosing)
    assert by_metric["franchise_recall_at_10"].shape == (2,)


def test_questions_of_the_choosing_half_are_in_no_reported_score(judged, tmp_path):
    scores = evaluate(judged, known_items=known_items(tmp_path, id_8="word3 word0"))
    assert not [name for name in metrics_of(scores) if "known_item" in name]
    assert gate_queries_of(scores)["known_item_recall_at_10"].tolist() == [1]


def test_co_like_scores_for_the_gate_have_those_without_each_group_of_users(tmp_path):
    films = rows([f"Film {row}" for row in range(60)])
    scores = evaluate(films, ratings=write_ratings(tmp_path))
    by_metric = gate_queries_of(scores)
    assert by_metric["colike_ndcg_at_10"].shape == (60, 1 + USER_GROUPS)
    metrics = metrics_of(scores)
    assert metrics["rec_queries_colike"] == 60
    assert 0 < metrics["rec_colike_ndcg_at_10"] < metrics["rec_colike_ndcg_at_10_high"]


def test_users_of_the_choosing_half_judge_for_the_gate_alone(tmp_path):
    likes = group_likes(users_of_half("choosing", 24), [range(1, 31), range(31, 61)])
    scores = evaluate(
        rows([f"Film {row}" for row in range(60)]), ratings=write_ratings(tmp_path, likes=likes)
    )
    assert list(gate_queries_of(scores)) == ["colike_ndcg_at_10"]
    assert not [name for name in metrics_of(scores) if "colike" in name]


def test_a_run_with_keywords_as_a_feature_is_not_judged_by_them(judged):
    metrics = metrics_of(evaluate(judged, keywords=True))
    assert not [name for name in metrics if "keyword" in name]


def test_a_source_without_judgements_has_popularity_and_no_relevance():
    scores = evaluate(rows(TITLES))
    assert metrics_of(scores)["rec_top20_share"] == 1
    assert {row["metric"] for row in scorers_of(scores)} == {"top20_share", "popularity_lift"}


def test_questions_that_changed_since_their_digest_are_refused(judged, tmp_path):
    items = known_items(tmp_path, id_9="word0 word1")
    items.file.write_text("id,query\n7,something else\n")
    with pytest.raises(UserError, match=r"known_items\.csv changed while it was read"):
        evaluate(judged, known_items=items)


def test_changed_questions_or_weights_are_evaluated_again(judged, tmp_path):
    items = known_items(tmp_path, id_9="word0 word1")
    first = evaluate(judged, known_items=items)
    assert evaluate(judged, known_items=items) == first
    by_votes = WORDS_ALONE.model_copy(update={"votes": 1.0})
    assert evaluate(judged, known_items=items, config=by_votes) != first
    changed = known_items(tmp_path, id_9="nobody knows")
    metrics = metrics_of(evaluate(judged, known_items=changed))
    assert metrics["rec_known_item_recall_at_10"] == 0
