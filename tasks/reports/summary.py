"""The outcome of a training run as text: scores, notes, next commands, links."""

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
from tasks.registry.champion import UI_ADDRESS, USUAL_UI

REPORT = "report.html"
SHOWN_ROWS = 200  # of a table, at most
LEAKY = (
    "These scores leak: the genres stand in the text and Doc2Vec was trained on the test movies. "
    "They are here to be compared with, not to be believed."
)
HELD_OUT = (
    "Held-out: no model saw the test movies, no genre word was put into a text, the threshold "
    "was tuned on validation movies."
)
ONE_GENRE = (
    "One genre alone is learnt: there is nothing to tell apart, and its scores mean nothing."
)
NAMES = {"held-out": "test", "blog": "blog"}
METRICS = (
    ("f1_micro", "F1 micro"),
    ("f1_macro", "F1 macro"),
    ("precision_micro", "Precision micro"),
    ("recall_micro", "Recall micro"),
    ("average_precision_macro", "Average precision macro"),
)
#: What is said of the lists, where the catalogue has franchises or ratings; of the same queries.
LISTS = (
    ("franchise_recall_at_10", "Franchise recall@10"),
    ("colike_ndcg_at_10", "Co-like nDCG@10"),
)
LISTS_BY = ("", "baseline_tfidf_", "baseline_prior_")


class Summary(BaseModel, frozen=True):
    """The outcome of one training run."""

    protocol: str
    scores: dict[str, float]
    ingested: IngestRef
    index: IndexRef
    run: RunRef
    model_version: str
    champion: bool
    why: str
    report: str = ""

    @property
    def is_sample(self) -> bool:
        """Whether the run learnt from the embedded sample, too small for scores to mean much."""
        return self.ingested.source == "sample_movies.csv"


def score_rows(scores: Mapping[str, float], protocol: str) -> list[tuple[str, ...]]:
    """Table of metric, this run, TF-IDF and prior baseline; `–` where one has no such score."""
    prefixes = (NAMES[protocol], "baseline_tfidf", "baseline_prior")
    rows = [
        (title, *(format_score(scores.get(f"{prefix}_{metric}")) for prefix in prefixes))
        for metric, title in METRICS
    ]
    return rows + [
        (title, *(format_score(scores.get(f"rec_{prefix}{metric}")) for prefix in LISTS_BY))
        for metric, title in LISTS
        if f"rec_{metric}" in scores
    ]


def format_score(value: float | None) -> str:
    """A score as people read it."""
    return "–" if value is None else f"{value:.3f}"


def relative_path(path: Path) -> Path:
    """A path as seen from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def next_commands(summary: Summary) -> list[str]:
    """What to run after a training run, with the programs of this environment."""
    programs = relative_path(Path(sys.executable).parent)
    promoted = (
        []
        if summary.champion or summary.protocol == "blog"
        else [f"{programs}/movie-recommender release promote {summary.model_version}"]
    )
    return [
        *promoted,
        f'{programs}/movie-recommender recommend "Vertical Limit"',
        _look_at(summary.run, programs),
    ]


def _look_at(run: RunRef, programs: Path) -> str:
    """How to see a run in MLflow; an address with a password is taken from the environment."""
    if run.tracking_uri.startswith("http"):
        return f"# open {run_page(run)}"
    if redacted(run.tracking_uri) == run.tracking_uri:
        return f"{programs}/mlflow ui --backend-store-uri {shlex.quote(run.tracking_uri)}"
    return f'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {programs}/mlflow ui'


def notes(summary: Summary) -> list[str]:
    """Sentences that keep the scores from being misread."""
    found = [LEAKY if summary.protocol == "blog" else HELD_OUT]
    if summary.scores.get("genres_learnt") == 1:
        found.append(ONE_GENRE)
    found.append(promotion_text(summary))
    if summary.is_sample:
        found.append("Trained on the embedded sample: it shows the way, its scores mean little.")
    return found


def promotion_text(summary: Summary) -> str:
    """Whether the version answers from now on, and why."""
    status = "is the champion" if summary.champion else "was not promoted"
    return f"Version {summary.model_version} {status}: {summary.why}."


def title_text(summary: Summary) -> str:
    """What was learnt, in a line."""
    return f"{summary.ingested.source}: {summary.ingested.kept} movies"


def row_counts_text(ingested: IngestRef) -> str:
    """Where the rows of the source went."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in ingested.reasons.items())
    kept = f"{ingested.kept} kept ({ingested.unlabelled} without genres)"
    quarantined = f"{ingested.quarantine.rows} quarantined{f' ({reasons})' if reasons else ''}"
    return f"Rows: {ingested.rows}, of them {kept} and {quarantined}"


def run_page(run: RunRef) -> str:
    """Where MLflow shows a run: on its server, else on the UI of this machine."""
    up = store.artifacts_root() / UI_ADDRESS
    here = up.read_text() if up.exists() else USUAL_UI
    address = redacted(run.tracking_uri).replace(f"//{HIDDEN}@", "//")  # a link has no login
    server = address if address.startswith("http") else here
    return f"{server.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def report_page(run: RunRef) -> str:
    """Where MLflow shows the report of a run."""
    return f"{run_page(run)}/artifacts/{REPORT}"


def markdown(summary: Summary) -> str:
    """The Prefect artifact of a run."""
    rows = "\n".join(
        f"| {' | '.join(row)} |" for row in score_rows(summary.scores, summary.protocol)
    )
    commands = "\n".join(next_commands(summary))
    database = redacted(summary.run.tracking_uri)
    return f"""# {title_text(summary)}

{" ".join(notes(summary))}

| {summary.protocol} protocol | this run | TF-IDF baseline | prior baseline |
|---|---|---|---|
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
    """A row a reason and column: how many rows, and where and what the first one is."""
    grouped = quarantine.group_by(["reason", "column"], use_threads=False).aggregate(
        [("row", "count"), ("source", "first"), ("row", "first"), ("value", "first")]
    )
    names = {"row_count": "rows", "source_first": "first_file", "row_first": "first_row"}
    names |= {"value_first": "first_value"}
    renamed = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    return list(renamed.sort_by([("rows", "descending")]).to_pylist())
