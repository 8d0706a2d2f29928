from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import KnownItemsRef, ScoresRef, UserError
from tasks.core.storage import store
from tasks.data.companions.reference_files import find_known_items
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import BASELINES, RECOMMENDER
from tasks.recommend.evaluation.query_sets import is_reported_query, split_queries
from tests.conftest import movie, write_csv
from tests.support.evaluated_lists import evaluate
from tests.support.index_rows import TITLES, rows
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


def scorers_of(scores: ScoresRef) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(
        store.locate(scores) / "scorers.parquet"
    ).to_pylist()
    return table


def test_lists_are_judged_by_keywords_and_known_items(judged, tmp_path):
    """Of the questions one is answered, one has no known word, one is of no movie here."""
    items = known_items(tmp_path, id_7="word2 word6", id_1="nobody knows", id_999="word1")
    scores = evaluate(judged, known_items=items)
    metrics = metrics_of(scores)
    assert metrics["rec_keyword_ndcg_at_10"] == 1
    assert metrics["rec_known_item_recall_at_10"] == 0.5
    assert metrics["rec_baseline_bm25_known_item_recall_at_10"] == 0.5
    assert metrics["rec_baseline_popularity_known_item_recall_at_10"] == 0
    assert metrics["rec_queries_known_item"] == 2
    reported = split_queries(Catalogue(judged), range(len(TITLES)), reported=True)
    assert metrics["rec_queries_keyword"] == len(reported)


def test_only_lists_of_the_reported_half_are_scored():
    """A reported movie's sequel has the same words, a choosing movie's sequel has others."""
    reported = [is_reported_query("m", row + 1) for row in range(2 * SAME_WORDS)]
    sequels = [row for row in range(SAME_WORDS) if reported[row] and reported[row + SAME_WORDS]]
    collections: list[str | None] = [None] * len(reported)
    for row in sequels:
        collections[row] = collections[row + SAME_WORDS] = f"Reported {row}"
    for row in range(0, len(reported), 2):
        if not reported[row] and not reported[row + 1]:
            collections[row] = collections[row + 1] = f"Choosing {row}"
    films = rows([f"Film {row}" for row in range(len(reported))], collection=collections)
    metrics = metrics_of(evaluate(films))
    assert metrics["rec_franchise_recall_at_10"] == 1
    assert metrics["rec_queries_franchise"] == 2 * len(sequels)


def test_every_scorer_is_compared_by_every_judgement(judged, tmp_path):
    scores = evaluate(judged, known_items=known_items(tmp_path, id_7="word2 word6"))
    names = {(row["scorer"], row["metric"]) for row in scorers_of(scores)}
    judgements = ("keyword_ndcg_at_10", "known_item_recall_at_10", "top20_share")
    assert names >= {
        (scorer, metric) for scorer in (RECOMMENDER, *BASELINES) for metric in judgements
    }


def test_scores_of_single_queries_are_stored_for_the_comparison_of_versions(judged, tmp_path):
    scores = evaluate(judged, known_items=known_items(tmp_path, id_7="word2 word6"))
    with np.load(store.locate(scores) / "queries.npz", allow_pickle=False) as queries:
        by_metric = {name: queries[name].tolist() for name in queries.files}
    assert by_metric["known_item_recall_at_10"] == [1]
    assert set(by_metric["keyword_ndcg_at_10"]) == {1}


def test_a_run_with_keywords_as_a_feature_is_not_judged_by_them(judged):
    metrics = metrics_of(evaluate(judged, keywords=True))
    assert not [name for name in metrics if "keyword" in name]


def test_a_source_without_judgements_has_popularity_and_no_relevance():
    scores = evaluate(rows(TITLES))
    assert metrics_of(scores)["rec_top20_share"] == 1
    assert {row["metric"] for row in scorers_of(scores)} == {"top20_share", "popularity_lift"}


def test_questions_that_changed_since_their_digest_are_refused(judged, tmp_path):
    items = known_items(tmp_path, id_7="word2 word6")
    items.file.write_text("id,query\n7,something else\n")
    with pytest.raises(UserError, match=r"known_items\.csv changed while it was read"):
        evaluate(judged, known_items=items)


def test_changed_questions_or_weights_are_evaluated_again(judged, tmp_path):
    items = known_items(tmp_path, id_7="word2 word6")
    first = evaluate(judged, known_items=items)
    assert evaluate(judged, known_items=items) == first
    by_votes = WORDS_ALONE.model_copy(update={"votes": 1.0})
    assert evaluate(judged, known_items=items, config=by_votes) != first
    changed = known_items(tmp_path, id_7="nobody knows")
    metrics = metrics_of(evaluate(judged, known_items=changed))
    assert metrics["rec_known_item_recall_at_10"] == 0
