"""What a run did -> what a person reads: summary, Prefect artifacts, and the report in MLflow."""

import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run, task_run
from pydantic import BaseModel

from tasks import store
from tasks.champion import UI_ADDRESS, USUAL_UI
from tasks.contracts import FiguresRef, IndexRef, IngestRef, RunRef, ScoresRef
from tasks.redact import HIDDEN, redacted
from tasks.retry import io_task
from tasks.stages import stages_of
from tasks.track import connect

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
        (title, *(shown(scores.get(f"{prefix}_{metric}")) for prefix in prefixes))
        for metric, title in METRICS
    ]
    return rows + [
        (title, *(shown(scores.get(f"rec_{prefix}{metric}")) for prefix in LISTS_BY))
        for metric, title in LISTS
        if f"rec_{metric}" in scores
    ]


def shown(value: float | None) -> str:
    """A score as people read it."""
    return "–" if value is None else f"{value:.3f}"


def short(path: Path) -> Path:
    """A path as seen from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def next_commands(summary: Summary) -> list[str]:
    """What to run after a training run, with the programs of this environment."""
    programs = short(Path(sys.executable).parent)
    promoted = (
        []
        if summary.champion or summary.protocol == "blog"
        else [f"{programs}/python -m flows.release promote {summary.model_version}"]
    )
    return [
        *promoted,
        f'{programs}/python -m flows.recommend "Vertical Limit"',
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
    found.append(standing(summary))
    if summary.is_sample:
        found.append("Trained on the embedded sample: it shows the way, its scores mean little.")
    return found


def standing(summary: Summary) -> str:
    """Whether the version answers from now on, and why."""
    status = "is the champion" if summary.champion else "was not promoted"
    return f"Version {summary.model_version} {status}: {summary.why}."


def heading(summary: Summary) -> str:
    """What was learnt, in a line."""
    return f"{summary.ingested.source}: {summary.ingested.kept} movies"


def counted(ingested: IngestRef) -> str:
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


def report_place(run: RunRef) -> str:
    """The report's file where it lies on this machine, else its page in MLflow."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = connect().get_run(run.run_id).info.artifact_uri
    if not root.startswith(("file:", "/")):
        return report_page(run)
    folder = local_file_uri_to_path(root)  # type: ignore[no-untyped-call]
    return str(short(Path(folder) / REPORT))


def markdown(summary: Summary) -> str:
    """The Prefect artifact of a run."""
    rows = "\n".join(
        f"| {' | '.join(row)} |" for row in score_rows(summary.scores, summary.protocol)
    )
    commands = "\n".join(next_commands(summary))
    database = redacted(summary.run.tracking_uri)
    return f"""# {heading(summary)}

{" ".join(notes(summary))}

| {summary.protocol} protocol | this run | TF-IDF baseline | prior baseline |
|---|---|---|---|
{rows}

- {counted(summary.ingested)}
- [MLflow run]({run_page(summary.run)}) `{summary.run.run_id}` in `{database}`, \
with its [report]({report_page(summary.run)})
- {standing(summary)} Index tag `{summary.index.tag}`.

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


@task(name="report-quarantine", cache_policy=NO_CACHE)
def report_quarantine(ingested: IngestRef) -> None:
    """Show in Prefect what was quarantined: a summary by reason, and the first of the rows."""
    quarantine = store.read(ingested.quarantine)
    of = f"{ingested.source}: {ingested.quarantine.rows} of {ingested.rows} rows quarantined"
    create_table_artifact(quarantine_summary(quarantine), key="quarantine-summary", description=of)
    rows = quarantine.slice(0, SHOWN_ROWS).to_pylist()
    shown = f"{of}, the first {len(rows)} shown"
    create_table_artifact(rows, key="quarantine-rows", description=shown)


@task(name="tag-flow-run", cache_policy=NO_CACHE)
def tag_flow_run(tags: list[str]) -> None:
    """Add tags to the flow run alone: on task runs, each tag would be asked for a free slot."""
    with get_client(sync_client=True) as client:
        kept = client.read_flow_run(flow_run.id).tags
        client.update_flow_run(flow_run.id, tags=[*kept, *(t for t in tags if t not in kept)])


@io_task("report")
def report(summary: Summary, evaluated: list[ScoresRef], figures: list[FiguresRef]) -> str:
    """Write the run's report to MLflow, and show its scores and where to look in Prefect.

    The report's place comes back.
    """
    from tasks import page, plots, plots_run  # plotting takes a while to load

    client, run = connect(), summary.run
    logged = client.get_run(run.run_id)
    with tempfile.TemporaryDirectory() as name:
        own = Path(name)
        plots.save(
            {"stages": plots_run.stage_waterfall(stages_of(str(flow_run.id), str(task_run.id)))},
            own,
        )
        folders = [*(store.locate(ref) for ref in (*evaluated, *figures)), own]
        quarantine = store.read(summary.ingested.quarantine)
        facts = page.facts_of(summary, logged, quarantine)
        (own / REPORT).write_text(page.html_of(facts, folders), encoding="utf-8")
        client.log_artifact(run.run_id, str(own / REPORT))
        for figure in own.glob("*.png"):
            client.log_artifact(run.run_id, str(figure), "evaluation")
        text = markdown(summary)
        client.set_tag(run.run_id, "mlflow.note.content", text)
        (bars,) = (file for folder in folders for file in folder.glob("genre_bars.png"))
        whole = f"{text}\n![F1 by genre]({page.image_of(bars.read_bytes()).uri})\n"
    create_markdown_artifact(whole, key="training-summary", description="Scores")
    create_link_artifact(run_page(run), "The run in MLflow", key="mlflow-run")
    create_link_artifact(report_page(run), "The report in MLflow", key="report")
    return report_place(run)
