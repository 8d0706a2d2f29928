import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.contracts import IndexRef, IngestRef, MoviesRef, QuarantineRef, RunRef
from tasks.registry.champion import UI_ADDRESS
from tasks.registry.tracking.experiment_page import FOR_TRAINING
from tasks.reports.summary import (
    Summary,
    markdown,
    next_commands,
    notes,
    relative_path,
    report_page,
    row_counts_text,
    run_page,
    score_rows,
)

FROM_ENVIRONMENT = '\nMLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {programs}/mlflow ui\n'
INGESTED = IngestRef(
    source="movies.csv",
    digest="d",
    files=("movies/movies.csv d",),
    chunks=(MoviesRef(paths=("c",), digest="d", rows=7),),
    quarantine=QuarantineRef(paths=("q",), digest="d", rows=3),
    rows=10,
    kept=7,
    unlabelled=1,
    unreadable_keywords=0,
    unreadable_credits=0,
    reasons={"bad_id": 2, "missing_title": 1},
)


@pytest.fixture
def summary() -> Summary:
    return Summary(
        protocol="held-out",
        scores={"test_f1_micro": 0.61234, "baseline_tfidf_f1_micro": 0.6},
        ingested=INGESTED,
        index=IndexRef(uri="u", tag="run-1", rows=7),
        run=RunRef(run_id="abc", experiment_id="1", tracking_uri="sqlite:///m.db"),
        model_version="4",
        outcome="promoted",
        why="no earlier champion",
        example="The Alien",
    )


def test_what_was_unusual_in_reading_is_told():
    read = {
        "formats": {"m.csv": "tab-separated, UTF-16"},
        "merged_genres": {"Drama": ["DRAMA", "drama"]},
        "undated": 1,
    }
    assert row_counts_text(INGESTED.model_copy(update=read)).endswith(
        " m.csv: tab-separated, UTF-16. Merged spellings of genres: Drama (DRAMA, drama). "
        "1 movies have no readable year."
    )
    assert row_counts_text(INGESTED).endswith("Quarantined: 3 (2 bad_id, 1 missing_title).")


def test_score_rows_have_the_baselines_beside_the_scores(summary):
    rows = {row[0]: row[1:] for row in score_rows(summary.scores, "held-out")}
    assert rows["F1 micro"] == ("0.612", "0.600", "–", "–", "–")
    assert rows["Recall micro"] == ("–",) * 5


def test_recommendation_scores_are_shown_if_there_are_any(summary):
    lists = {"rec_franchise_recall_at_10": 0.9, "rec_baseline_tfidf_franchise_recall_at_10": 0.8}
    assert score_rows(summary.scores | lists, "held-out")[-1] == (
        "Franchise recall@10",
        "0.900",
        "0.800",
        *["–"] * 3,
    )
    assert len(score_rows(summary.scores, "held-out")) == 5


def test_keyword_relevance_comes_first_with_all_baselines_beside_it(summary):
    values = {"tfidf": 0.2, "popularity": 0.1, "bm25": 0.4, "no_text": 0.5, "random": 0.6}
    scorers = {"": 0.3} | {f"baseline_{name}_": value for name, value in values.items()}
    lists = {
        f"rec_{scorer}{metric}": value
        for metric in ("known_item_recall_at_10", "keyword_ndcg_at_10", "top20_share")
        for scorer, value in scorers.items()
    }
    rows = score_rows(summary.scores | lists, "held-out")[5:]
    titles = ["Keyword nDCG@10", "Known-item recall@10", "Share of the top 20 movies"]
    assert rows == [(title, "0.300", "0.200", "0.100", "0.400", "0.500") for title in titles]


def test_artifact_counts_all_rows_and_names_the_next_commands(summary):
    text = markdown(summary)
    assert "Rows read: 10. Kept: 7 (1 without genres)." in text
    assert "Quarantined: 3 (2 bad_id, 1 missing_title)." in text
    assert f"[MLflow run](http://127.0.0.1:5000/#/experiments/1/runs/abc?{FOR_TRAINING})" in text
    assert f"runs/abc/artifacts/report.html?{FOR_TRAINING})" in text
    assert "movie-recommender recommend 'The Alien'" in text
    assert "mlflow ui --backend-store-uri sqlite:///m.db" in text
    assert "Held-out" in text


@pytest.mark.parametrize(
    ("uri", "shown", "command"),
    [
        ("postgresql://mlflow:s3cr3t@db/mlflow", "postgresql://***@db/mlflow", FROM_ENVIRONMENT),
        (
            "postgresql://db/mlflow?user=mlflow&password=s3cr3t",
            "postgresql://db/mlflow?***",
            FROM_ENVIRONMENT,
        ),
        (
            "https://team:s3cr3t@mlflow.example",
            "https://***@mlflow.example",
            "# open https://mlflow.example/#/experiments/1/runs/abc",
        ),
        (
            "sqlite:////data/my movies/mlflow.db",
            "sqlite:////data/my movies/mlflow.db",
            "mlflow ui --backend-store-uri 'sqlite:////data/my movies/mlflow.db'",
        ),
    ],
)
def test_summary_hides_the_credentials_of_the_tracking_server(summary, uri, shown, command):
    run = summary.run.model_copy(update={"tracking_uri": uri})
    protected = summary.model_copy(update={"run": run})
    text = markdown(protected)
    assert f"in `{shown}`" in text
    assert command.format(programs=relative_path(Path(sys.executable).parent)) in text
    links = [run_page(run), report_page(run)]
    assert "s3cr3t" not in "".join([text, *next_commands(protected), *links])
    assert not [link for link in links if "@" in link]


def with_outcome(summary: Summary, outcome: str) -> Summary:
    return summary.model_copy(update={"outcome": outcome, "why": "F1 is equal"})


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("promoted", "was promoted to champion"),
        ("rejected", "was not promoted"),
        ("borderline", "waits for your approval"),
    ],
)
def test_promotion_is_explained(summary, outcome, status):
    text = f"Model version 4 {status} (F1 is equal)."
    assert text in notes(with_outcome(summary, outcome))
    assert text in markdown(with_outcome(summary, outcome))


@pytest.mark.parametrize("outcome", ["promoted", "rejected", "borderline"])
def test_the_command_that_promotes_is_shown_where_the_gate_leaves_it_to_a_person(summary, outcome):
    commands = "\n".join(next_commands(with_outcome(summary, outcome)))
    assert ("movie-recommender release approve 4" in commands) == (outcome == "borderline")


@pytest.mark.parametrize(
    "title", ["It's a Gift", 'Say "Yes"!', "$9.99", "M*A*S*H", "`x` & y", "¡Ay!"]
)
def test_the_next_command_can_be_pasted_into_a_shell(summary, title, monkeypatch, tmp_path):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path / "a b"))
    monkeypatch.setattr("tasks.reports.summary.relative_path", lambda path: tmp_path / "b in")
    program = tmp_path / "b in" / "movie-recommender"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s|" "$RECOMMENDER_ARTIFACTS" "$@"\n')
    program.chmod(0o700)
    command, *_ = next_commands(summary.model_copy(update={"example": title}))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == f"{tmp_path}/a b|recommend|{title}|"


def test_no_movie_is_named_if_no_champion_can_answer(summary):
    commands = next_commands(summary.model_copy(update={"example": ""}))
    assert not any(" recommend" in command for command in commands)


def test_credentials_are_not_in_the_next_commands_which_work_in_the_same_shell(
    summary, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden@host")
    assert "hidden" not in "".join(next_commands(summary))
    assert "***" not in "".join(next_commands(summary))


def test_a_running_mlflow_is_named_by_its_address(summary, artifacts):
    with socket.create_server(("127.0.0.1", 0)) as server:
        artifacts.mkdir()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        (artifacts / UI_ADDRESS).write_text(address)
        shown = next_commands(summary)
    pages = f"{address}/#/experiments/1/runs"
    view = f"{FOR_TRAINING}&viewStateShareKey=scores&compareRunsMode=CHART"
    assert shown[-2:] == [f"# open {pages}/abc?{FOR_TRAINING}", f"# compare {pages}?{view}"]
    assert "mlflow ui" not in "\n".join(shown)
    assert "mlflow ui --backend-store-uri" in next_commands(summary)[-3]  # it was killed


def test_a_leaky_version_is_not_offered_for_promotion(summary):
    leaky = with_outcome(summary, "rejected").model_copy(update={"protocol": "blog"})
    assert "release approve" not in "\n".join(next_commands(leaky))


def test_texts_with_keywords_are_labelled(summary):
    with_keywords = summary.model_copy(update={"keywords_in_text": True})
    (label,) = set(notes(with_keywords)) - set(notes(summary))
    assert label.startswith("Keywords are in the texts, and may name a genre")
    assert label in markdown(with_keywords)


@pytest.mark.parametrize(("protocol", "prefix"), [("held-out", "test"), ("blog", "blog")])
def test_test_movies_without_a_learned_genre_are_counted(summary, protocol, prefix):
    text = "3 test movies without a learned genre are in no score."
    for left_out, is_told in ((3.0, True), (0.0, False)):
        scores = summary.scores | {f"{prefix}_movies_left_out": left_out}
        update = {"protocol": protocol, "scores": scores}
        told = " ".join(notes(summary.model_copy(update=update)))
        assert ("without a learned genre" in told, text in told) == (is_told, is_told)


def test_leaky_run_is_labelled(summary):
    update = {"protocol": "blog", "outcome": "rejected", "why": "its scores leak"}
    leaky = summary.model_copy(update=update)
    assert "These scores leak" in markdown(leaky)
    assert "Model version 4 was not promoted (its scores leak)." in markdown(leaky)


def test_run_on_the_sample_is_labelled(summary):
    assert len(notes(summary)) == 2
    ingested = INGESTED.model_copy(update={"source": "sample_movies.csv"})
    assert (
        "bundled sample of 7 movies" in notes(summary.model_copy(update={"ingested": ingested}))[-1]
    )
