"""What a refresh changed -> its report: one HTML page that works offline."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from mlflow.entities import Run
from pydantic import BaseModel

from tasks.core.contracts import IngestRef, RefreshRef
from tasks.reports.page_parts import (
    MovieList,
    load_template,
    origin_tables,
    quarantine_tables,
    run_line,
    run_origin,
    truncated_table,
)
from tasks.reports.refresh_changes import SHOWN_LISTS, Changes
from tasks.reports.summary import row_counts_text
from tasks.reports.verdict import Finding, Verdict, count_text

NO_NEW_MOVIES = "No movie is new to the catalogue."
NOTHING_UPDATED = "No movie of the catalogue was in the file."
HEADLINE = "Version {version} is the champion: {added} added, {updated} updated."


class RefreshOutcome(BaseModel, frozen=True):
    """The outcome of a refresh: the new version, and the one that it was made from.

    `trained` says which run trained the models of both.
    """

    ingested: IngestRef
    refreshed: RefreshRef
    version: str
    before: str
    trained: str


class RefreshContext(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """Texts and values of the report of a refresh."""

    title: str
    run: str
    verdict: Verdict
    lists: list[MovieList]
    lists_caption: str
    added: list[dict[str, Any]]
    updated: list[dict[str, Any]]
    rows: str
    quarantine: pa.Table
    command: str
    origin: dict[str, str]
    settings: dict[str, str]


def refresh_title(outcome: RefreshOutcome) -> str:
    """Title of the report: the file and what became of its movies."""
    refreshed = outcome.refreshed
    added = count_text(refreshed.added, "movie")
    return f"{outcome.ingested.source}: {added} added, {refreshed.updated:,} updated"


def refresh_verdict(outcome: RefreshOutcome, changes: Changes) -> Verdict:
    """Which version answers now, what it has, and whose models it uses."""
    refreshed = outcome.refreshed
    headline = HEADLINE.format(
        version=outcome.version,
        added=count_text(refreshed.added, "movie"),
        updated=f"{refreshed.updated:,}",
    )
    texts = {
        "Movies": f"{count_text(refreshed.index.rows, 'movie')} now; version {outcome.before} had "
        f"{refreshed.index.rows - refreshed.added:,}.",
        "Models": f"Those of version {outcome.before}, {outcome.trained}. A refresh trains nothing "
        "and is not compared with the champion.",
        "Updated": _updated_text(changes),
        "Left out": quarantined_text(outcome.ingested),
    }
    findings = [Finding(title=title, text=text) for title, text in texts.items() if text]
    return Verdict(outcome="refreshed", headline=headline, findings=findings)


def _updated_text(changes: Changes) -> str:
    if not changes.updated:
        return ""
    changed = len(changes.updated) - changes.unchanged
    same = f", {changes.unchanged:,} as before" if changes.unchanged else ""
    return f"{count_text(changed, 'movie')} changed{same}. The table of updated movies says what."


def quarantined_text(ingested: IngestRef) -> str:
    """How many rows of the file were quarantined, and why."""
    if not ingested.reasons:
        return "No row was quarantined."
    reasons = ", ".join(
        f"{name.replace('_', ' ')} ({count:,})" for name, count in ingested.reasons.items()
    )
    return f"{count_text(ingested.quarantine.rows, 'row')} quarantined: {reasons}."


def refresh_context(
    outcome: RefreshOutcome,
    mlflow_run: Run,
    changes: Changes,
    lists: list[MovieList],
    quarantine: pa.Table,
) -> RefreshContext:
    """The texts of the report, from the outcome, the MLflow run and what changed."""
    tags, ingested = mlflow_run.data.tags, outcome.ingested
    return RefreshContext(
        title=refresh_title(outcome),
        run=run_line(mlflow_run),
        verdict=refresh_verdict(outcome, changes),
        lists=lists,
        lists_caption=_lists_caption(changes),
        added=[_added_row(movie) for movie in changes.added],
        updated=sorted(changes.updated, key=lambda row: not row["changed"]),
        rows=row_counts_text(ingested),
        quarantine=quarantine,
        command=tags["command"],
        origin=run_origin(ingested.source, ingested.digest, tags),
        settings=dict(sorted(mlflow_run.data.params.items())),
    )


def _added_row(movie: Mapping[str, Any]) -> dict[str, Any]:
    return {name: movie[name] for name in ("id", "title", "year", "genres")}


def _lists_caption(changes: Changes) -> str:
    kind, movies = ("new", changes.added) if changes.added else ("updated", changes.updated)
    of_all = f"the first {SHOWN_LISTS} of {len(movies):,}" if len(movies) > SHOWN_LISTS else "the"
    return f"What the new version recommends for {of_all} {kind} movies, to judge by eye."


def render_refresh(context: RefreshContext) -> str:
    """The report of a refresh."""
    tables = {
        "added": truncated_table("New movies", context.added, NO_NEW_MOVIES),
        "updated": truncated_table("Updated movies", context.updated, NOTHING_UPDATED),
    }
    tables |= quarantine_tables(context.quarantine)
    tables |= origin_tables(context.origin, context.settings)
    return load_template("refresh.html").render(context=context, tables=tables)
