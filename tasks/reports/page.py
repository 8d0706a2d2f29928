"""Stored figures and tables of a training run -> its report: one HTML page that works offline."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import plotly
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.entities import Run
from pydantic import BaseModel

from tasks.registry import gate
from tasks.reports.movie_map import interactive_map
from tasks.reports.page_parts import (
    MovieList,
    Row,
    Table,
    gzip_base64,
    load_figures,
    load_template,
    origin_tables,
    quarantine_tables,
    run_line,
    run_origin,
    truncated_table,
)
from tasks.reports.sections import (
    DAMAGED_CHAMPION,
    LEAKY_RUN,
    NO_CHAMPION,
    NOTHING_SHARED,
    SECTIONS,
    TABLES,
)
from tasks.reports.summary import (
    BASELINE_TITLES,
    METRIC_PREFIXES,
    Summary,
    format_score,
    notes,
    promotion_text,
    row_counts_text,
    score_rows,
    title_text,
)
from tasks.reports.texts.metric_names import METRIC_NAMES, metric_key
from tasks.reports.verdict import Verdict, comparison_rows, training_verdict

LISTS_OF_RUN = "The first movies that this run recommends for each film, to judge by eye."
LISTS_OF_BOTH = (
    "The first movies that this run and the champion recommend for each film, to judge by eye."
)
NO_LISTS = "The source has none of the well-known films."


class ScoreLine(BaseModel, frozen=True):
    """A line of the table of scores: the metric in words, its usual name and key, the values."""

    words: str
    term: str
    good: str
    key: str
    values: tuple[str, ...]


class ReportContext(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """Texts and values of the report that do not come from stored figures and tables."""

    title: str
    run: str
    verdict: Verdict
    protocol: str
    notes: list[str]
    scores: list[ScoreLine]
    comparisons: list[dict[str, Any]]
    gate_missing: str
    rows: str
    quarantine: pa.Table
    command: str
    origin: dict[str, str]
    settings: dict[str, str]


class ListTables(NamedTuple):
    """Rows of the lists of well-known films: those of the run alone, or with the champion's."""

    alone: Sequence[Row]
    beside: Sequence[Row]


def score_lines(
    rows: Sequence[tuple[str, ...]], scores: Mapping[str, float], protocol: str
) -> list[ScoreLine]:
    """Rows of `score_rows`, named in words, with the 95% interval of this run's score."""
    metrics = {name.term: metric for metric, name in METRIC_NAMES.items()}
    return [
        _score_line(metrics[title], values, scores, METRIC_PREFIXES[protocol])
        for title, *values in rows
    ]


def _score_line(
    metric: str, values: Sequence[str], scores: Mapping[str, float], prefix: str
) -> ScoreLine:
    name, key = METRIC_NAMES[metric], metric_key(metric, prefix)
    score, *baselines = values
    shown = (score, _interval(scores, key), *baselines)
    return ScoreLine(words=name.words, term=name.term, good=name.good, key=key, values=shown)


def _interval(scores: Mapping[str, float], name: str) -> str:
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    return "–" if low is None else f"{format_score(low)} to {format_score(high)}"


def report_context(
    summary: Summary, mlflow_run: Run, quarantine: pa.Table, comparisons: Sequence[Row] | None
) -> ReportContext:
    """The texts of the report, from the summary, the MLflow run and the quarantined rows.

    `comparisons` are the rows of the gate, None if nothing was compared.
    """
    tags = mlflow_run.data.tags
    missing = NOTHING_SHARED if comparisons is not None else why_not_compared(summary)
    return ReportContext(
        title=title_text(summary),
        run=run_line(mlflow_run),
        verdict=training_verdict(summary, tags["preset"], comparisons or (), missing),
        protocol=summary.protocol,
        notes=[note for note in notes(summary) if note != promotion_text(summary)],
        scores=score_lines(
            score_rows(summary.scores, summary.protocol), summary.scores, summary.protocol
        ),
        comparisons=comparison_rows(comparisons or ()),
        gate_missing=missing,
        rows=row_counts_text(summary.ingested),
        quarantine=quarantine,
        command=tags["command"],
        origin=run_origin(summary.ingested.source, summary.ingested.digest, tags),
        settings=dict(sorted(mlflow_run.data.params.items())),
    )


def why_not_compared(summary: Summary) -> str:
    """Why a run has no comparison with a champion."""
    if summary.protocol == "blog":
        return LEAKY_RUN
    return NO_CHAMPION if summary.why == gate.NO_CHAMPION else DAMAGED_CHAMPION


@cache
def _plotly_script() -> str:
    """Plotly's code, compressed once in a process that writes several reports."""
    return gzip_base64(files(plotly).joinpath("package_data/plotly.min.js").read_bytes())


def load_tables(folders: Iterable[Path]) -> dict[str, pa.Table]:
    """The parquet tables in `folders` that the report shows, by stem."""
    names = {"map", "gate", "sample_lists", "lists_beside", *(panel.name for panel in TABLES)}
    paths = (file for folder in folders for file in folder.glob("*.parquet"))
    return {file.stem: pq.read_table(file) for file in paths if file.stem in names}


def tables_by_section(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Table]]:
    """The tables of each section, from the rows of the stored tables."""
    tables: dict[str, list[Table]] = {name: [] for name in SECTIONS}
    for panel in TABLES:
        table = truncated_table(panel.title, rows.get(panel.name, []), panel.missing)
        tables[panel.section].append(table)
    return tables


def film_lists(tables: ListTables) -> list[MovieList]:
    """Lists of well-known films: those of both versions if the champion's are there."""
    if tables.beside:
        return [
            MovieList(row["film"], {"this run": row["challenger"], "champion": row["champion"]})
            for row in tables.beside
        ]
    return [MovieList(row["film"], {"": row["movies like it"]}) for row in tables.alone]


def render_html(context: ReportContext, folders: Sequence[Path]) -> str:
    """The report of a run whose figures and tables are in `folders`."""
    tables = load_tables(folders)
    rows = {name: table.to_pylist() for name, table in tables.items() if name != "map"}
    lists = ListTables(rows.get("sample_lists", ()), rows.get("lists_beside", ()))
    return load_template("training.html").render(
        context=context,
        static_tables=quarantine_tables(context.quarantine)
        | origin_tables(context.origin, context.settings),
        sections=SECTIONS,
        figures=load_figures(folders),
        tables=tables_by_section(rows),
        film_lists=film_lists(lists),
        lists_caption=LISTS_OF_BOTH if lists.beside else LISTS_OF_RUN,
        lists_missing=NO_LISTS,
        baselines=BASELINE_TITLES,
        gate=truncated_table(
            "Comparison with the champion", context.comparisons, context.gate_missing
        ),
        movies=_map_data(tables["map"]) if "map" in tables else "",
        plotly=_plotly_script() if "map" in tables else "",
    )


def _map_data(map_table: pa.Table) -> str:
    return gzip_base64(interactive_map(map_table).to_json().encode())
