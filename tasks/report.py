"""What a run did -> what a person reads: the summary in the terminal and the Prefect artifacts."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from pydantic import BaseModel

from tasks import store
from tasks.contracts import IndexRef, IngestRef, RunRef

SHOWN_ROWS = 200
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

    @property
    def is_sample(self) -> bool:
        """Whether the run learnt from the embedded sample, too small for scores to mean much."""
        return self.ingested.source == "sample_movies.csv"


def score_rows(scores: Mapping[str, float], protocol: str) -> list[tuple[str, ...]]:
    """Table of metric, this run, TF-IDF and prior baseline; `–` where one has no such score."""
    prefixes = (NAMES[protocol], "baseline_tfidf", "baseline_prior")
    rows = [
        (title, *(_shown(scores.get(f"{prefix}_{metric}")) for prefix in prefixes))
        for metric, title in METRICS
    ]
    return rows + [
        (title, *(_shown(scores.get(f"rec_{prefix}{metric}")) for prefix in LISTS_BY))
        for metric, title in LISTS
        if f"rec_{metric}" in scores
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def next_commands(summary: Summary) -> list[str]:
    """What to run after a training run, with the programs of this environment."""
    programs = Path(sys.executable).parent
    if programs.is_relative_to(Path.cwd()):
        programs = programs.relative_to(Path.cwd())
    promoted = (
        []
        if summary.champion
        else [f"{programs}/python -m flows.release promote {summary.model_version}"]
    )
    return [
        *promoted,
        f'{programs}/python -m flows.recommend "Vertical Limit"',
        f"{programs}/mlflow ui --backend-store-uri {summary.run.tracking_uri}",
    ]


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


def markdown(summary: Summary) -> str:
    """The Prefect artifact of a run."""
    ingested = summary.ingested
    rows = "\n".join(
        f"| {' | '.join(row)} |" for row in score_rows(summary.scores, summary.protocol)
    )
    reasons = ", ".join(f"{count} {reason}" for reason, count in ingested.reasons.items())
    commands = "\n".join(next_commands(summary))
    return f"""# {ingested.source}: {ingested.kept} movies

{" ".join(notes(summary))}

| {summary.protocol} protocol | this run | TF-IDF baseline | prior baseline |
|---|---|---|---|
{rows}

- Rows: {ingested.rows}, of them {ingested.kept} kept ({ingested.unlabelled} without genres) \
and {ingested.quarantine.rows} quarantined{f" ({reasons})" if reasons else ""}
- MLflow run `{summary.run.run_id}` in `{summary.run.tracking_uri}`
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


@task(name="report", cache_policy=NO_CACHE)
def report(summary: Summary) -> None:
    """Show the scores and the next commands in Prefect."""
    create_markdown_artifact(markdown(summary), key="training-summary", description="Scores")
