"""Outcome of a training run -> texts: scores, notes, next commands, links."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from tasks.core.contracts import IndexRef, IngestRef, RunRef
from tasks.core.redaction import HIDDEN, redacted
from tasks.core.storage import store
from tasks.data.ingest import MAX_UNDATED_SHARE
from tasks.registry.champion import UI_ADDRESS, USUAL_UI
from tasks.registry.gate import Outcome

REPORT = "report.html"
SHOWN_ROWS = 200  # maximum rows of a table
LEAKY = (
    "These scores leak: genre labels are in the texts and Doc2Vec was trained on the test movies. "
    "Use them only for comparison with the blog post."
)
HELD_OUT = (
    "Held-out: no model was trained on the test movies, no genre label was added to a text, and "
    "thresholds were tuned on validation movies."
)
KEYWORDS_IN_TEXT = (
    "Keywords are in the texts, and may name a genre: compare these scores with runs whose texts "
    "have keywords too."
)
ONE_GENRE = (
    "Only one genre is learned: there is nothing to distinguish, so its scores are not meaningful."
)
METRIC_PREFIXES = {"held-out": "test", "blog": "blog"}
METRICS = (
    ("f1_micro", "F1 micro"),
    ("f1_macro", "F1 macro"),
    ("precision_micro", "Precision micro"),
    ("recall_micro", "Recall micro"),
    ("average_precision_macro", "Average precision macro"),
)
#: Scores of the recommendations; those that the source has nothing to judge by are missing.
LIST_METRICS = (
    ("keyword_ndcg_at_10", "Keyword nDCG@10"),
    ("franchise_recall_at_10", "Franchise recall@10"),
    ("colike_matched_auc", "Co-like AUC, vote-matched"),
    ("known_item_recall_at_10", "Known-item recall@10"),
    ("top20_share", "Share of the top 20 movies"),
    ("popularity_lift", "Popularity lift"),
)
STATUS: dict[Outcome, str] = {
    "promoted": "was promoted to champion",
    "rejected": "was not promoted",
    "borderline": "waits for your approval",
}
#: Columns of `score_rows`. Genres have two baselines, lists four.
BASELINE_TITLES = ("TF-IDF", "prior", "BM25", "no text")
LIST_PREFIXES = ("", *(f"baseline_{name}_" for name in ("tfidf", "popularity", "bm25", "no_text")))


class Summary(BaseModel, frozen=True):
    """The outcome of one training run."""

    protocol: str
    scores: dict[str, float]
    ingested: IngestRef
    index: IndexRef
    run: RunRef
    model_version: str
    outcome: Outcome
    why: str
    keywords_in_text: bool = False
    report: str = ""

    @property
    def is_sample(self) -> bool:
        """Whether the run was trained on the bundled sample, too small for useful scores."""
        return self.ingested.source == "sample_movies.csv"


def score_rows(scores: Mapping[str, float], protocol: str) -> list[tuple[str, ...]]:
    """Rows of metric, this run, and the baselines of `BASELINE_TITLES`; `–` for a missing score.

    The prior of genres are their frequencies, that of lists the popularity of movies. A list
    without text is by genre, year and votes.
    """
    prefixes = (METRIC_PREFIXES[protocol], "baseline_tfidf", "baseline_prior")
    rows = [
        (title, *(format_score(scores.get(f"{prefix}_{metric}")) for prefix in prefixes), "–", "–")
        for metric, title in METRICS
    ]
    return rows + [
        (title, *(format_score(scores.get(f"rec_{prefix}{metric}")) for prefix in LIST_PREFIXES))
        for metric, title in LIST_METRICS
        if f"rec_{metric}" in scores
    ]


def format_score(value: float | None) -> str:
    """A score with three decimals; `–` for None."""
    return "–" if value is None else f"{value:.3f}"


def relative_path(path: Path) -> Path:
    """The path relative to the working directory, if it is inside it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def next_commands(summary: Summary) -> list[str]:
    """Commands to run after a training run, with the programs of this environment."""
    programs = relative_path(Path(sys.executable).parent)
    promote = f"{programs}/movie-recommender release promote {summary.model_version}"
    return [
        *([promote] if summary.outcome == "borderline" else []),
        f'{programs}/movie-recommender recommend "Alien"',
        _mlflow_command(summary.run, programs),
    ]


def _mlflow_command(run: RunRef, programs: Path) -> str:
    """The command that shows a run in MLflow; it never contains a password."""
    if run.tracking_uri.startswith("http"):
        return f"# open {run_page(run)}"
    if redacted(run.tracking_uri) == run.tracking_uri:
        return f"{programs}/mlflow ui --backend-store-uri {shlex.quote(run.tracking_uri)}"
    return f'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {programs}/mlflow ui'


def notes(summary: Summary) -> list[str]:
    """Sentences that explain the scores and the promotion decision."""
    sentences = [LEAKY if summary.protocol == "blog" else HELD_OUT]
    if summary.keywords_in_text:
        sentences.append(KEYWORDS_IN_TEXT)
    left_out = summary.scores.get(f"{METRIC_PREFIXES[summary.protocol]}_movies_left_out")
    if left_out:
        sentences.append(f"{left_out:.0f} test movies without a learned genre are in no score.")
    if summary.scores.get("genres_learnt") == 1:
        sentences.append(ONE_GENRE)
    sentences.append(promotion_text(summary))
    if summary.is_sample:
        sentences.append(
            f"Trained on the bundled sample of {summary.ingested.kept} movies: "
            "the scores are for demonstration only."
        )
    return sentences


def promotion_text(summary: Summary) -> str:
    """Whether the model version was promoted, with the reason in brackets."""
    return f"Model version {summary.model_version} {STATUS[summary.outcome]} ({summary.why})."


def title_text(summary: Summary) -> str:
    """Title of the run: source and number of movies."""
    return f"{summary.ingested.source}: {summary.ingested.kept} movies"


def row_counts_text(ingested: IngestRef) -> str:
    """How many rows were kept and quarantined, why, and how the source was read if unusually."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in ingested.reasons.items())
    counts = (
        f"Rows read: {ingested.rows}. "
        f"Kept: {ingested.kept} ({ingested.unlabelled} without genres). "
        f"Quarantined: {ingested.quarantine.rows}{f' ({reasons})' if reasons else ''}."
    )
    return " ".join([counts, *_reading_notes(ingested)])


def _reading_notes(ingested: IngestRef) -> list[str]:
    notes = [f"{name}: {form}." for name, form in ingested.formats.items()]
    merged = (
        f"{name} ({', '.join(spellings)})" for name, spellings in ingested.merged_genres.items()
    )
    if ingested.merged_genres:
        notes.append(f"Merged spellings of genres: {'; '.join(merged)}.")
    if ingested.undated > MAX_UNDATED_SHARE * ingested.kept:
        notes.append(f"{ingested.undated} movies have no readable year.")
    return notes


def run_page(run: RunRef) -> str:
    """Address of the run's page: on the MLflow server, else in the MLflow UI of this machine."""
    address_file = store.artifacts_root() / UI_ADDRESS
    local_ui = address_file.read_text() if address_file.exists() else USUAL_UI
    address = redacted(run.tracking_uri).replace(f"//{HIDDEN}@", "//")  # without credentials
    server = address if address.startswith("http") else local_ui
    return f"{server.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def report_page(run: RunRef) -> str:
    """Address of the report in MLflow."""
    return f"{run_page(run)}/artifacts/{REPORT}"


def markdown(summary: Summary) -> str:
    """The Prefect artifact of a run, and the note of its MLflow run."""
    rows = "\n".join(
        f"| {' | '.join(row)} |" for row in score_rows(summary.scores, summary.protocol)
    )
    commands = "\n".join(next_commands(summary))
    database = redacted(summary.run.tracking_uri)
    return f"""# {title_text(summary)}

{" ".join(notes(summary))}

| {summary.protocol} protocol | this run | {" | ".join(BASELINE_TITLES)} |
|---|---|---|---|---|---|
{rows}

- {row_counts_text(summary.ingested)}
- [MLflow run]({run_page(summary.run)}) `{summary.run.run_id}` in `{database}`, \
with its [report]({report_page(summary.run)})
- {promotion_text(summary)} Index tag `{summary.index.tag}`.

```
{commands}
```
"""


def quarantine_summary(quarantine: pa.Table) -> list[dict[str, Any]]:
    """A row per reason and column: number of rows, and file, row and value of the first."""
    grouped = quarantine.group_by(["reason", "column"], use_threads=False).aggregate(
        [("row", "count"), ("source", "first"), ("row", "first"), ("value", "first")]
    )
    names = {"row_count": "rows", "source_first": "first_file", "row_first": "first_row"}
    names |= {"value_first": "first_value"}
    renamed = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    return list(renamed.sort_by([("rows", "descending")]).to_pylist())
