import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.contracts import QUARANTINE, IndexRef, IngestRef, MoviesRef, QuarantineRef, RunRef
from tasks.reports.summary import (
    Summary,
    markdown,
    next_commands,
    notes,
    quarantine_summary,
    relative_path,
    report_page,
    run_page,
    score_rows,
)

FROM_ENVIRONMENT = '\nMLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {programs}/mlflow ui\n'
INGESTED = IngestRef(
    source="movies.csv",
    digest="d",
    chunks=(MoviesRef(paths=("c",), digest="d", rows=7),),
    quarantine=QuarantineRef(paths=("q",), digest="d", rows=3),
    rows=10,
    kept=7,
    unlabelled=1,
    unreadable_keywords=0,
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
        champion=True,
        why="the first to answer",
    )


def test_scores_stand_beside_their_baselines(summary):
    rows = {row[0]: row[1:] for row in score_rows(summary.scores, "held-out")}
    assert rows["F1 micro"] == ("0.612", "0.600", "–")
    assert rows["Recall micro"] == ("–", "–", "–")


def test_lists_are_scored_where_there_is_something_to_score_them_by(summary):
    lists = {"rec_franchise_recall_at_10": 0.9, "rec_baseline_tfidf_franchise_recall_at_10": 0.8}
    assert score_rows(summary.scores | lists, "held-out")[-1] == (
        "Franchise recall@10",
        "0.900",
        "0.800",
        "–",
    )
    assert len(score_rows(summary.scores, "held-out")) == 5


def test_the_artifact_says_what_happened_to_every_row_and_what_to_do_next(summary):
    text = markdown(summary)
    assert "Rows: 10, of them 7 kept (1 without genres) and 3 quarantined" in text
    assert "2 bad_id, 1 missing_title" in text
    assert "[MLflow run](http://127.0.0.1:5000/#/experiments/1/runs/abc) `abc`" in text
    assert "(http://127.0.0.1:5000/#/experiments/1/runs/abc/artifacts/report.html)" in text
    assert 'movie-recommender recommend "Vertical Limit"' in text
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
def test_a_summary_hides_the_login_of_the_tracking_server(summary, uri, shown, command):
    run = summary.run.model_copy(update={"tracking_uri": uri})
    protected = summary.model_copy(update={"run": run})
    text = markdown(protected)
    assert f"in `{shown}`" in text
    assert command.format(programs=relative_path(Path(sys.executable).parent)) in text
    links = [run_page(run), report_page(run)]
    assert "s3cr3t" not in "".join([text, *next_commands(protected), *links])
    assert not [link for link in links if "@" in link]


def test_a_leaky_run_says_that_it_leaks(summary):
    leaky = summary.model_copy(update={"protocol": "blog", "champion": False})
    assert "These scores leak" in markdown(leaky)
    assert "Version 4 was not promoted" in markdown(leaky)


def test_a_run_on_the_sample_says_so(summary):
    assert len(notes(summary)) == 2
    ingested = INGESTED.model_copy(update={"source": "sample_movies.csv"})
    assert "embedded sample" in notes(summary.model_copy(update={"ingested": ingested}))[-1]


def test_quarantine_is_summed_up_by_reason_with_its_first_row():
    rows = [
        {"source": "m.csv", "row": row, "column": "id", "reason": reason, "value": str(row)}
        for row, reason in ((4, "bad_id"), (7, "duplicate_id"), (9, "duplicate_id"))
    ]
    found = quarantine_summary(pa.Table.from_pylist(rows, QUARANTINE))
    assert [(row["reason"], row["rows"], row["first_row"]) for row in found] == [
        ("duplicate_id", 2, 7),
        ("bad_id", 1, 4),
    ]
    assert quarantine_summary(QUARANTINE.empty_table()) == []
