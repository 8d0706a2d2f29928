"""Outcome of a training run -> texts: scores, notes, next commands, links."""

import os
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel

from tasks.core.contracts import IndexRef, IngestRef, RunRef
from tasks.core.redaction import HIDDEN, redacted
from tasks.core.storage import store
from tasks.data.ingest import MAX_UNDATED_SHARE
from tasks.registry.champion import UI_ADDRESS, USUAL_UI
from tasks.registry.gate import Outcome
from tasks.registry.model_registry import SQLITE, tracking_uri
from tasks.registry.tracking.experiment_page import FOR_TRAINING, view_page
from tasks.registry.tracking.runs import REPORT
from tasks.reports.texts.metric_names import GENRE_METRICS
from tasks.reports.texts.metric_names import LIST_METRICS as LIST_NAMES

UI_SECONDS = 1.0  # to connect to MLflow on this machine
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
METRICS = tuple((metric, name.term) for metric, name in GENRE_METRICS.items())
#: Scores of the recommendations; those that the source has nothing to judge by are missing.
LIST_METRICS = tuple(
    (metric, name.term) for metric, name in LIST_NAMES.items() if metric != "colike_ndcg_at_10"
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
    example: str = ""  # title of a movie of the champion, if there is one
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


def environment() -> list[str]:
    """Assignments of the environment variables that select the artifacts root and the registry.

    MLflow sets its variable itself; the default address is therefore left out.
    """
    root = os.environ.get("RECOMMENDER_ARTIFACTS")
    values = {"RECOMMENDER_ARTIFACTS": root} if root else {}
    if tracking_uri() != f"{SQLITE}{store.artifacts_root() / 'mlflow.db'}":
        values["MLFLOW_TRACKING_URI"] = tracking_uri()
        logins = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        values |= {name: HIDDEN for name in logins if name in os.environ}
    return [f"{name}={shlex.quote(redacted(value))}" for name, value in values.items()]


def next_commands(summary: Summary) -> list[str]:
    """Commands to paste after a training run, with the programs of this environment.

    Variables with credentials are left out: the shell that trained has them.
    """
    programs = shlex.quote(str(relative_path(Path(sys.executable).parent)))
    assignments = [one for one in environment() if HIDDEN not in one]
    program = " ".join([*assignments, f"{programs}/movie-recommender"])
    commands = []
    if summary.outcome == "borderline":
        commands.append(f"{program} release approve {summary.model_version}")
    if summary.example:
        commands.append(f"{program} recommend {shlex.quote(summary.example)}")
    return [*commands, *_mlflow_commands(summary.run, programs)]


def _mlflow_commands(run: RunRef, programs: str) -> list[str]:
    """Addresses of the run and of a comparison in MLflow, after the command that starts it.

    The command is left out where MLflow runs; it has no password.
    """
    pages = [f"# open {run_page(run)}", f"# compare {charts_page(run)}"]
    if run.tracking_uri.startswith("http") or local_ui():
        return pages
    if redacted(run.tracking_uri) == run.tracking_uri:
        start = f"{programs}/mlflow ui --backend-store-uri {shlex.quote(run.tracking_uri)}"
    else:
        start = f'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {programs}/mlflow ui'
    return [start, *pages]


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


def local_ui() -> str:
    """Address of the MLflow UI of the local stack; empty if it does not run."""
    address_file = store.artifacts_root() / UI_ADDRESS
    if not address_file.exists():
        return ""
    address = address_file.read_text()
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname, parts.port), UI_SECONDS):
            return address
    except OSError:
        return ""


def run_page(run: RunRef) -> str:
    """Address of the run's page in MLflow."""
    return _address(run, f"experiments/{run.experiment_id}/runs/{run.run_id}")


def charts_page(run: RunRef) -> str:
    """Address of the charts in MLflow that compare the run with the others."""
    return view_page(_pages(run), run.experiment_id, charts=True)


def _address(run: RunRef, page: str) -> str:
    return f"{_pages(run)}/#/{page}?{FOR_TRAINING}"


def _pages(run: RunRef) -> str:
    """Address of MLflow's pages: on the MLflow server, else in the MLflow UI of this machine."""
    address_file = store.artifacts_root() / UI_ADDRESS
    usual = address_file.read_text() if address_file.exists() else USUAL_UI
    address = redacted(run.tracking_uri).replace(f"//{HIDDEN}@", "//")  # without credentials
    return (address if address.startswith("http") else usual).rstrip("/")


def report_page(run: RunRef) -> str:
    """Address of the report in MLflow."""
    return _address(run, f"experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/{REPORT}")


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
with its [report]({report_page(summary.run)}); [comparison with other runs]\
({charts_page(summary.run)})
- {promotion_text(summary)} Index tag `{summary.index.tag}`.

```
{commands}
```
"""
