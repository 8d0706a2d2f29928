"""A training on a source with everything that lists are judged by and ranked by."""

import math
import re
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from flows.phases.start import reason_to_skip
from flows.train import train
from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, ScoresRef
from tasks.core.storage import store
from tasks.recommend.evaluation.baseline_rankers import BASELINES
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.recommend.evaluation.query_sets import query_halves
from tasks.recommend.scoring import FEATURES
from tasks.recommend.search import open_version
from tasks.registry.challenge import challenge as compare
from tasks.registry.challenge import to_opponent
from tasks.registry.champion import load_champion
from tasks.registry.champion_check import load_checked_champion
from tasks.registry.gate import GateConfig
from tasks.registry.release import promote
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import blank_figures
from tests.support.chunk_documents import preprocessed
from tests.support.definitions.run_names import added_names, run_names
from tests.support.definitions.snapshots import require_reviewed
from tests.support.report_html import panel
from tests.support.rich_catalogue import (
    FIRST_ID,
    MOVIES,
    QUESTIONS,
    write_questions,
    write_rich_source,
)
from tests.support.stored import stored_refs
from tests.support.trained_root import TrainedRoot, artifacts_in, rich_settings

pytestmark = pytest.mark.usefixtures("prefect_server")
DEFINITIONS = Path(__file__).parent / "definitions"
#: Weights by which every list holds the movies with the most votes.
VOTES_ALONE = dict.fromkeys(FEATURES, 0.0) | {"votes": 1.0}
TOLERANT = GateConfig(tolerance=0.3)
GATED_LISTS = ("rec_franchise_recall_at_10", "rec_keyword_ndcg_at_10")
POPULARITY_METRICS = {
    *("popularity_lift", "top1_share", "top20_share", "top50_share", "coverage_at_10", "gini")
}


@pytest.fixture(autouse=True)
def trained(module_root, monkeypatch) -> TrainedRoot:
    """The shared training, for tests that only read its results."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(module_root.artifacts))
    return module_root


def metrics_of(summary: Summary) -> dict[str, float]:
    """The metrics of a run in MLflow."""
    logged: dict[str, float] = without_groups(connect().get_run(summary.run.run_id).data.metrics)
    return logged


@pytest.fixture
def metrics(trained) -> dict[str, float]:
    """The metrics of the run's lists in MLflow."""
    logged = metrics_of(trained.summary)
    return {name: value for name, value in logged.items() if name.startswith("rec_")}


def test_a_run_leaves_the_names_in_mlflow_that_were_reviewed(trained):
    require_reviewed(DEFINITIONS / "train.yaml", run_names(trained.summary.run.run_id))


def test_every_scorer_has_every_metric_and_no_other(metrics):
    names = {f"{name}{end}" for name in RELEVANCE_METRICS for end in ("", "_low", "_high")}
    prefixes = ["rec", *(f"rec_baseline_{name}" for name in BASELINES)]
    expected = {f"{prefix}_{name}" for prefix in prefixes for name in names | POPULARITY_METRICS}
    expected |= {"rec_genre_precision_at_10", "rec_intra_list_diversity_at_10"}
    expected |= {"rec_behaviour_passed"}
    kinds = ("keyword", "franchise", "colike", "known_item")
    assert set(metrics) == expected | {f"rec_queries_{kind}" for kind in kinds}


def test_metrics_are_in_their_ranges(metrics):
    assert all(math.isfinite(value) for value in metrics.values())
    shares = {
        name: value
        for name, value in metrics.items()
        if not name.endswith(("popularity_lift", "diversity_at_10")) and "queries" not in name
    }
    assert {name: value for name, value in shares.items() if not 0 <= value <= 1} == {}
    assert all(abs(metrics[name]) <= 1 for name in metrics if name.endswith("popularity_lift"))


def test_queries_of_the_reported_half_are_judged(metrics):
    """A duplicate has keywords, but no collection and no ratings; so has the unlabelled movie.

    Users are halved rather than the movies that they like; two of three questions are reported.
    """
    index = load_champion().index
    rows = open_version(index.uri, index.tag).to_arrow().sort_by("id")
    reported = [half == "reported" for half in query_halves(rows)]
    assert metrics["rec_queries_franchise"] == sum(reported[:MOVIES])
    assert metrics["rec_queries_colike"] == MOVIES
    assert metrics["rec_queries_keyword"] == sum(reported)
    assert metrics["rec_queries_known_item"] == 2


def test_a_recommender_that_hears_the_text_beats_popularity_and_chance(metrics):
    for metric in RELEVANCE_METRICS:
        for baseline in ("popularity", "random"):
            other = metrics[f"rec_baseline_{baseline}_{metric}"]
            assert metrics[f"rec_{metric}"] > other, (metric, baseline)


def test_headline_scores_are_those_that_the_catalogue_was_made_for(metrics):
    """A director has made one collection alone; a star plays in every movie of a first genre.

    Keywords are those of the first genre, whose movies are liked by the same users: the twenty of
    them that count as relevant are scored against all others, of which a quarter is as similar.
    """
    assert metrics["rec_franchise_recall_at_10"] == pytest.approx(1, abs=0.02)
    assert metrics["rec_keyword_ndcg_at_10"] == pytest.approx(0.95, abs=0.03)
    assert metrics["rec_colike_matched_auc"] == pytest.approx(0.88, abs=0.02)
    assert metrics["rec_known_item_recall_at_10"] == 1


def test_genre_scores_beat_the_prior_by_far(trained):
    scores = trained.summary.scores
    for name in ("micro", "macro"):
        assert scores[f"test_f1_{name}"] > scores[f"baseline_prior_f1_{name}"] + 0.25, name


def test_chance_and_popularity_win_half_of_the_vote_matched_pairs(metrics):
    for baseline in ("popularity", "random"):
        auc = metrics[f"rec_baseline_{baseline}_colike_matched_auc"]
        assert auc == pytest.approx(0.5, abs=0.1), baseline


def test_popularity_shows_in_the_lists_of_popularity_alone(metrics):
    assert metrics["rec_baseline_popularity_top20_share"] > 0.9
    assert metrics["rec_baseline_popularity_popularity_lift"] > 0.4
    assert metrics["rec_baseline_popularity_gini"] > 0.9
    assert metrics["rec_top20_share"] < 0.4
    assert abs(metrics["rec_popularity_lift"]) < 0.2
    assert metrics["rec_coverage_at_10"] > 0.9


def test_tables_and_figures_show_relevance_beside_popularity(trained, tmp_path):
    run_id = trained.summary.run.run_id
    names = {file.path for file in connect().list_artifacts(run_id, "evaluation")}
    figures = ("relevance_by_scorer", "relevance_popularity")
    assert {f"evaluation/{name}.png" for name in figures} <= names
    path = connect().download_artifacts(run_id, "evaluation/scorers.parquet", str(tmp_path))
    table = pq.read_table(path).to_pylist()
    headline = [row["scorer"] for row in table if row["metric"] == RELEVANCE_METRICS[0]]
    assert set(headline) == {"ours", *BASELINES}
    html = Path(trained.summary.report).read_text(encoding="utf-8")
    assert all("<img" in panel(html, name) for name in figures)
    assert "Keyword nDCG@10" in html
    assert "Co-like AUC, vote-matched" in html


def test_the_index_has_people_but_no_keywords_to_rank_by(trained):
    index = load_champion().index
    rows = open_version(index.uri, index.tag).search().where(f"id = '{FIRST_ID}'").to_list()
    assert rows[0]["people"] == ["Director of Arbury", "Star of Horror", "Actor 0"]
    assert rows[0]["people_terms"] == rows[0]["people"]
    assert rows[0]["keywords"]
    assert rows[0]["keyword_terms"] == []


class Challenge(NamedTuple):
    """Two runs on the source of the first one that differ in the ranking weights alone.

    `by_votes` challenges the shared training; then it is promoted by hand, and `by_text`, with the
    weights of the shared training, challenges it. F1 is equal, but of twenty movies alone.
    """

    artifacts: Path
    by_votes: Summary
    by_text: Summary


@pytest.fixture(scope="module")
def challenge(shared_training, tmp_path_factory) -> Challenge:
    root = shared_training.copy(tmp_path_factory.mktemp("challenge"))
    with artifacts_in(root.artifacts), blank_figures():
        by_votes = train(rich_settings(root.source, rank=VOTES_ALONE))
        promote(connect(), by_votes.model_version)
        by_text = train(root.config.model_copy(update={"gate": TOLERANT}))
    return Challenge(root.artifacts, by_votes, by_text)


@pytest.fixture
def at_challenge(challenge, monkeypatch) -> Challenge:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(challenge.artifacts))
    return challenge


def test_changed_weights_change_the_scores_of_the_lists(challenge, trained):
    for name in GATED_LISTS:
        assert challenge.by_votes.scores[name] < trained.summary.scores[name] - 0.3, name
        assert challenge.by_text.scores[name] == trained.summary.scores[name], name
    popularity = "rec_baseline_popularity_franchise_recall_at_10"
    by_votes = challenge.by_votes.scores
    assert by_votes["rec_franchise_recall_at_10"] == by_votes[popularity]


def test_a_challenger_with_worse_lists_is_kept_back(challenge):
    summary = challenge.by_votes
    assert summary.outcome == "rejected"
    lost = -summary.scores["gate_keyword_ndcg_at_10_difference"]
    assert lost > 0.3
    assert summary.why == (
        f"keyword nDCG@10 is {lost:.3f} lower than the champion's (significant at 95%)"
    )


def test_a_champion_with_worse_lists_is_beaten(challenge, at_challenge):
    assert challenge.by_text.outcome == "promoted"
    assert re.fullmatch(
        r"keyword nDCG@10 is 0\.\d+ higher than the champion's "
        r"\(significant, candidate 1 against this champion\)",
        challenge.by_text.why,
    )
    assert load_champion().run_id == challenge.by_text.run.run_id


def test_the_gate_shows_both_versions_by_every_score_of_lists(challenge, at_challenge):
    """Each version is measured alike as challenger and as champion."""
    by_votes, by_text = metrics_of(challenge.by_votes), metrics_of(challenge.by_text)
    for metric in RELEVANCE_METRICS:
        name = f"gate_{metric}"
        assert by_votes[f"{name}_champion"] == pytest.approx(by_text[name]), name
        assert by_text[f"{name}_champion"] == pytest.approx(by_votes[name]), name
        difference = by_text[name] - by_votes[name]
        assert by_text[f"{name}_difference"] == pytest.approx(difference), name
        assert by_votes[f"{name}_difference"] == pytest.approx(-difference), name
    html = Path(challenge.by_votes.report).read_text(encoding="utf-8")
    assert "colike_matched_auc" in html


def test_the_gate_judges_lists_on_other_queries_than_the_reported_ones(challenge, at_challenge):
    scores = metrics_of(challenge.by_votes)
    assert scores["gate_franchise_recall_at_10"] != scores["rec_franchise_recall_at_10"]


def test_movies_that_the_champion_was_fitted_on_are_not_compared(trained_root):
    """A challenger with more movies in the gate: some of them are train movies of the champion."""
    opponent, (lists,) = to_opponent(load_checked_champion()), stored_refs("lists", ScoresRef)
    assert opponent is not None
    before = store.join(stored_refs("documents", DocumentsRef))
    text = trained_root.config.text.model_copy(update={"gate_share": 0.3})
    chunks = trained_root.summary.ingested.chunks
    documents = store.join(preprocessed(chunks, text))
    compared = compare.fn(
        documents=documents,
        challenger=opponent.folders,
        lists=lists,
        ratings=None,
        known_items=None,
        opponent=opponent,
        compute=Compute(),
    )
    gate_movies = [
        {row["id"] for row in store.read(ref).to_pylist() if row["split"] == "gate"}
        for ref in (before, documents)
    ]
    assert gate_movies[0] < gate_movies[1]
    assert compared.rows == len(gate_movies[0])


@pytest.fixture(scope="module")
def with_keywords(shared_training, tmp_path_factory) -> TrainedRoot:
    """A run that ranks by keywords, with a source of its own, promoted by hand."""
    root = shared_training.copy(tmp_path_factory.mktemp("with_keywords"))
    source = write_rich_source(root.artifacts.parent / "source")
    with artifacts_in(root.artifacts), blank_figures():
        summary = train(rich_settings(source, text={"keywords": True}))
        promote(connect(), summary.model_version)
    return TrainedRoot(source, root.artifacts, summary)


@pytest.fixture
def at_keywords(with_keywords, monkeypatch) -> TrainedRoot:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(with_keywords.artifacts))
    return with_keywords


def test_a_run_that_ranks_by_keywords_is_neither_judged_nor_compared_by_them(at_keywords, trained):
    first, metrics = trained.summary, metrics_of(at_keywords.summary)
    assert not [name for name in metrics if "keyword_ndcg" in name]
    assert "gate_franchise_recall_at_10_difference" in metrics
    names = added_names(at_keywords.summary.run.run_id, first.run.run_id)
    require_reviewed(DEFINITIONS / "train_with_champion.yaml", names)


def dislike_everything(folder: Path) -> None:
    file = folder / "ratings_small.csv"
    file.write_text(file.read_text().replace(",5.0,", ",1.0,"))


def ask_more(folder: Path) -> None:
    write_questions(folder, QUESTIONS | {FIRST_ID + 1: "a saloon"})


@pytest.mark.parametrize("change", [dislike_everything, ask_more])
def test_changed_ratings_or_questions_are_a_reason_to_train_again(at_keywords, change):
    folder = at_keywords.source.parent
    config = rich_settings(at_keywords.source, text={"keywords": True})
    assert reason_to_skip(config)
    change(folder)
    assert not reason_to_skip(config)
    write_rich_source(folder)
    assert reason_to_skip(config)
