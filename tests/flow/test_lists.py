"""A training on a source with everything that lists are judged by and ranked by."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.phases.start import is_champion_up_to_date
from flows.train import train
from tasks.recommend.evaluation.baseline_rankers import BASELINES
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.recommend.evaluation.query_sets import is_reported_query
from tasks.recommend.search import open_version
from tasks.registry.champion import load_champion
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import COLUMNS, THEMES, catalogue, write_csv
from tests.support.definitions.run_names import added_names, run_names
from tests.support.definitions.snapshots import require_reviewed
from tests.support.report_html import panel
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server")
DEFINITIONS = Path(__file__).parent / "definitions"
JUDGED = [*COLUMNS, "keywords", "director", "cast", "vote_count"]
MOVIES = 150
#: Ranking weights of this file, whatever the default weights are.
WEIGHTS = {"content": 1, "words": 5, "title": 5, "hidden": 1, "genre": 1, "people": 1}
WEIGHTS |= {"keywords": 1, "year": 0.5, "quality": 0.5, "votes": 0}
#: Questions by movie; the last word is in no other overview.
QUESTIONS = {
    1000: "the curse of a lighthouse",
    1031: "an outlaw on a submarine",
    1062: "the guitar of an astronaut",
}
POPULARITY_METRICS = {
    *("popularity_lift", "top1_share", "top20_share", "top50_share", "coverage_at_10", "gini")
}


def judged_movies() -> list[dict[str, str]]:
    """Movies with people and keywords of their genre; two in a row are a collection.

    The overview of a movie of `QUESTIONS` ends with the last word of its question.
    """
    movies = []
    for number, movie in enumerate(catalogue(MOVIES)):
        genre, series = list(THEMES)[number % 3], "abcdefghijklmnopqrstuvwxy"[number // 6]
        words = [word for place, word in enumerate(THEMES[genre]) if place != number % 8]
        last_word = QUESTIONS.get(1000 + number, "").split()[-1:]
        extra = {
            "overview": " ".join([movie["overview"], *last_word]),
            "title": f"{genre}{series} {number}",
            "belongs_to_collection": f"{{'id': 1, 'name': '{genre}{series}'}}",
            "keywords": json.dumps(words),
            "director": f"Director of {genre}{series}",
            "cast": json.dumps([f"Star of {genre}", f"Actor {number}"]),
            "vote_count": str((number * 37 % MOVIES) ** 2),
        }
        movies.append(movie | extra)
    return movies


def write_ratings(folder: Path) -> None:
    """For each genre 24 users who like all of its movies."""
    likes = [(user, 1000 + number) for user in range(72) for number in range(user % 3, MOVIES, 3)]
    ratings = [f"{user},{movie},5.0,0" for user, movie in likes]
    header = "userId,movieId,rating,timestamp"
    (folder / "ratings_small.csv").write_text("\n".join([header, *ratings]) + "\n")
    links = [f"{movie},0,{movie}" for movie in range(1000, 1000 + MOVIES)]
    header = "movieId,imdbId,tmdbId"
    (folder / "links_small.csv").write_text("\n".join([header, *links]) + "\n")


def write_questions(folder: Path, questions: dict[int, str]) -> None:
    items = [{"id": str(movie_id), "query": text} for movie_id, text in questions.items()]
    write_csv(folder / "known_items.csv", items, ["id", "query"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, prefect_server) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("judged")
    source = write_csv(folder / "movies.csv", judged_movies(), JUDGED)
    write_ratings(folder)
    write_questions(folder, QUESTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(folder / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return source, train(settings(source, rank=WEIGHTS))


@pytest.fixture(autouse=True)
def at_its_root(trained, monkeypatch) -> None:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(trained[0].parent / "artifacts"))


@pytest.fixture
def metrics(trained) -> dict[str, float]:
    """The metrics of the run's lists in MLflow."""
    logged: dict[str, Any] = connect().get_run(trained[1].run.run_id).data.metrics
    return {name: value for name, value in logged.items() if name.startswith("rec_")}


def test_a_run_leaves_the_names_in_mlflow_that_were_reviewed(trained):
    require_reviewed(DEFINITIONS / "train.yaml", run_names(trained[1].run.run_id))


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
    reported = sum(is_reported_query("movies", 1000 + number) for number in range(MOVIES))
    for kind in ("keyword", "franchise", "colike"):
        assert metrics[f"rec_queries_{kind}"] == reported, kind
    assert metrics["rec_queries_known_item"] == len(QUESTIONS)


def test_a_recommender_that_hears_the_text_beats_popularity_and_chance(metrics):
    for metric in RELEVANCE_METRICS:
        for baseline in ("popularity", "random"):
            other = metrics[f"rec_baseline_{baseline}_{metric}"]
            assert metrics[f"rec_{metric}"] > other, (metric, baseline)
    assert metrics["rec_known_item_recall_at_10"] == 1
    assert metrics["rec_keyword_ndcg_at_10"] > 0.9


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
    run_id = trained[1].run.run_id
    names = {file.path for file in connect().list_artifacts(run_id, "evaluation")}
    figures = ("relevance_by_scorer", "relevance_popularity")
    assert {f"evaluation/{name}.png" for name in figures} <= names
    path = connect().download_artifacts(run_id, "evaluation/scorers.parquet", str(tmp_path))
    table = pq.read_table(path).to_pylist()
    headline = [row["scorer"] for row in table if row["metric"] == RELEVANCE_METRICS[0]]
    assert set(headline) == {"ours", *BASELINES}
    html = Path(trained[1].report).read_text(encoding="utf-8")
    assert all("<img" in panel(html, name) for name in figures)
    assert "Keyword nDCG@10" in html


def test_the_index_has_people_but_no_keywords_to_rank_by(trained):
    index = load_champion().index
    rows = open_version(index.uri, index.tag).search().where("id = 1000").to_list()
    assert rows[0]["people"] == ["Director of Horrora", "Star of Horror", "Actor 0"]
    assert rows[0]["people_terms"] == rows[0]["people"]
    assert rows[0]["keywords"]
    assert rows[0]["keyword_terms"] == []


def test_changed_questions_are_a_reason_to_train_again(trained):
    """Before the next test, whose run may become the champion."""
    source, _ = trained
    config = settings(source, rank=WEIGHTS)
    assert is_champion_up_to_date(config)
    write_questions(source.parent, QUESTIONS | {1001: "a saloon"})
    assert not is_champion_up_to_date(config)
    write_questions(source.parent, QUESTIONS)


@pytest.mark.usefixtures("blank_figures")
def test_a_run_that_ranks_by_keywords_is_neither_judged_nor_compared_by_them(trained):
    source, first = trained
    second = train(settings(source, rank=WEIGHTS, text={"keywords": True}))
    metrics = connect().get_run(second.run.run_id).data.metrics
    assert not [name for name in metrics if "keyword_ndcg" in name]
    assert "gate_rec_franchise_recall_at_10_difference" in metrics
    assert metrics["champion_rec_franchise_recall_at_10"] == pytest.approx(
        first.scores["rec_franchise_recall_at_10"]
    )
    assert metrics["champion_rec_known_item_recall_at_10"] == pytest.approx(
        first.scores["rec_known_item_recall_at_10"]
    )
    names = added_names(second.run.run_id, first.run.run_id)
    require_reviewed(DEFINITIONS / "train_with_champion.yaml", names)
