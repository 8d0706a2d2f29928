"""Stored figures and tables of a run -> its report: a single HTML page that works offline."""

import base64
import gzip
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import plotly
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.entities import Run
from pydantic import BaseModel

from tasks.reports.movie_map import interactive_map
from tasks.reports.plots import DPI
from tasks.reports.sections import LEAKY_RUN, NO_CHAMPION, NOTHING_SHARED, SECTIONS, TABLES
from tasks.reports.summary import (
    BASELINE_TITLES,
    LIST_METRICS,
    METRIC_PREFIXES,
    METRICS,
    SHOWN_ROWS,
    Summary,
    format_score,
    notes,
    quarantine_summary,
    row_counts_text,
    score_rows,
    title_text,
)

Row = Mapping[str, Any]
CSS_PIXELS_PER_INCH = 96  # https://www.w3.org/TR/css-values/#absolute-lengths
TAGS_OF_ORIGIN = ("preset", "protocol", "device", "code", "python")


class Image(NamedTuple):
    """A picture as a data URI, and its width on the page in CSS pixels."""

    uri: str
    width: int


class ReportContext(BaseModel, frozen=True):
    """Texts and values of the report that do not come from stored figures and tables."""

    title: str
    run: str
    protocol: str
    notes: list[str]
    scores: list[tuple[str, ...]]
    gate_missing: str
    rows: str
    quarantined: list[dict[str, Any]]
    quarantined_rows: list[dict[str, Any]]
    quarantined_more: int
    command: str
    origin: dict[str, str]
    settings: dict[str, str]


class Table(NamedTuple):
    """Rows of a table, the text if there are none, and the number of rows left out."""

    title: str
    rows: Sequence[Row]
    missing: str
    more: int = 0


def with_intervals(
    rows: Sequence[tuple[str, ...]], scores: Mapping[str, float], protocol: str
) -> list[tuple[str, ...]]:
    """Rows of `score_rows` with the 95% interval of this run's score as third column."""
    names = {title: f"{METRIC_PREFIXES[protocol]}_{metric}" for metric, title in METRICS}
    names |= {title: f"rec_{metric}" for metric, title in LIST_METRICS}
    return [
        (title, score, _interval(scores, names[title]), *baselines)
        for title, score, *baselines in rows
    ]


def _interval(scores: Mapping[str, float], name: str) -> str:
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    return "–" if low is None else f"{format_score(low)} to {format_score(high)}"


def report_context(summary: Summary, mlflow_run: Run, quarantine: pa.Table) -> ReportContext:
    """The texts of the report, from the summary, the MLflow run and the quarantined rows."""
    info, start = mlflow_run.info, datetime.fromtimestamp(mlflow_run.info.start_time / 1000, UTC)
    rows = score_rows(summary.scores, summary.protocol)
    return ReportContext(
        title=title_text(summary),
        run=f"{info.run_name}, {start:%Y-%m-%d %H:%M} UTC, MLflow run {info.run_id}",
        protocol=summary.protocol,
        notes=notes(summary),
        scores=with_intervals(rows, summary.scores, summary.protocol),
        gate_missing=LEAKY_RUN if summary.protocol == "blog" else NO_CHAMPION,
        rows=row_counts_text(summary.ingested),
        quarantined=quarantine_summary(quarantine),
        quarantined_rows=quarantine.slice(0, SHOWN_ROWS).to_pylist(),
        quarantined_more=max(0, quarantine.num_rows - SHOWN_ROWS),
        command=mlflow_run.data.tags["command"],
        origin=_origin(summary, mlflow_run.data.tags),
        settings=dict(sorted(mlflow_run.data.params.items())),
    )


def _origin(summary: Summary, tags: Mapping[str, str]) -> dict[str, str]:
    """Source, code and library versions of the run."""
    origin = {"source": summary.ingested.source, "source SHA-256": summary.ingested.digest}
    origin |= {name: tags[name] for name in TAGS_OF_ORIGIN}
    return origin | {name: tags[name] for name in sorted(tags) if name.startswith("version.")}


def base64_text(content: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(content).decode()


def gzip_base64(content: bytes) -> str:
    """Compressed bytes as base64 text; the page decompresses them."""
    return base64_text(gzip.compress(content, 6, mtime=0))


@cache
def _plotly_script() -> str:
    """Plotly's code, compressed once in a process that writes several reports."""
    return gzip_base64(files(plotly).joinpath("package_data/plotly.min.js").read_bytes())


def to_image(content: bytes) -> Image:
    """A PNG file at the width that makes its 10-point letters as large as the page's."""
    width = int.from_bytes(content[16:20])  # from the header, https://www.w3.org/TR/png/#11IHDR
    uri = f"data:image/png;base64,{base64_text(content)}"
    return Image(uri, round(width * CSS_PIXELS_PER_INCH / DPI))


def load_figures(folders: Iterable[Path]) -> defaultdict[str, Image | None]:
    """PNG files in `folders` by stem; None for a name without file."""
    images: defaultdict[str, Image | None] = defaultdict(lambda: None)
    for file in (file for folder in folders for file in folder.glob("*.png")):
        images[file.stem] = to_image(file.read_bytes())
    return images


def load_tables(folders: Iterable[Path]) -> dict[str, pa.Table]:
    """The parquet tables in `folders` that the report shows, by stem."""
    names = {"map", "gate", "lists_beside", *(panel.name for panel in TABLES)}
    paths = (file for folder in folders for file in folder.glob("*.parquet"))
    return {file.stem: pq.read_table(file) for file in paths if file.stem in names}


def truncated_table(title: str, rows: Sequence[Row], missing: str, more: int = 0) -> Table:
    """A table of at most SHOWN_ROWS rows; `more` rows were left out by the caller."""
    return Table(title, rows[:SHOWN_ROWS], missing, max(0, len(rows) - SHOWN_ROWS) + more)


def static_tables(context: ReportContext) -> dict[str, Table]:
    """The tables that are made of the context: quarantine, provenance and settings."""
    missing = "No row was quarantined."
    return {
        "quarantined": truncated_table("Quarantined rows by reason", context.quarantined, missing),
        "rows": truncated_table(
            title="Quarantined rows",
            rows=context.quarantined_rows,
            missing=missing,
            more=context.quarantined_more,
        ),
        "origin": truncated_table("Provenance", name_value_rows(context.origin), ""),
        "settings": truncated_table("Settings", name_value_rows(context.settings), ""),
    }


def tables_by_section(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Table]]:
    """The tables of each section, from the rows of the stored tables."""
    tables: dict[str, list[Table]] = {name: [] for name in SECTIONS}
    for panel in TABLES:
        table = truncated_table(panel.title, rows.get(panel.name, []), panel.missing)
        tables[panel.section].append(table)
    return tables


def name_value_rows(values: Mapping[str, str]) -> list[Row]:
    """A row per item, with the columns name and value."""
    return [{"name": name, "value": value} for name, value in values.items()]


def format_cell(value: object) -> str:
    """The text of a table cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def render_html(context: ReportContext, folders: Sequence[Path]) -> str:
    """The report of a run whose figures and tables are in `folders`."""
    tables = load_tables(folders)
    rows = {name: table.to_pylist() for name, table in tables.items() if name != "map"}
    if rows.get("lists_beside"):  # the same lists, with those of the champion
        rows["sample_lists"] = rows["lists_beside"]
    gate_missing = NOTHING_SHARED if "gate" in rows else context.gate_missing
    return _template().render(
        context=context,
        static_tables=static_tables(context),
        sections=SECTIONS,
        figures=load_figures(folders),
        tables=tables_by_section(rows),
        baselines=BASELINE_TITLES,
        gate=truncated_table("Comparison with the champion", rows.get("gate", []), gate_missing),
        movies=_map_data(tables["map"]) if "map" in tables else "",
        plotly=_plotly_script(),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = format_cell
    return environment.from_string(
        files("tasks.reports").joinpath("report.html").read_text("utf-8")
    )


def _map_data(map_table: pa.Table) -> str:
    return gzip_base64(interactive_map(map_table).to_json().encode())
