"""What a run has written -> its report: one HTML page that needs no other file and no network."""

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
from tasks.reports.summary import (
    LISTS,
    METRICS,
    NAMES,
    ONE_GENRE,
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
PIXELS_AN_INCH = 96  # of a page, https://www.w3.org/TR/css-values/#absolute-lengths


class Panel(NamedTuple):
    """A figure's place on the page: what it shows, and why it may be missing."""

    name: str
    title: str
    reading: str
    missing: str = "This run has not drawn it."


LEAKS = "Its scores leak: it was not held against the champion."
FIRST = "No version answered before: there was no champion to be held against."
NOTHING_SHARED = "The champion shares no test movie and no query with this run."
NO_QUERY = (
    "No movie can be asked for its like: the source has no two movies of one collection, and no "
    "ratings lie beside it."
)
NO_CHAMPION = "No champion's source to compare with: no version answered yet when this run began."
SECTIONS = {
    "Genres": (
        Panel(
            "genre_bars",
            "F1 by genre",
            "Bars are this run, marks TF-IDF; in brackets the number of test movies.",
        ),
        Panel(
            "thresholds",
            "Threshold against F1",
            "What another threshold would have given on the test movies; dotted is the tuned one.",
            ONE_GENRE,
        ),
        Panel(
            "reliability",
            "Reliability",
            "On the dashed line a genre said with 70% is right 7 times in 10.",
            ONE_GENRE,
        ),
        Panel(
            "precision_recall",
            "Precision by recall",
            "The further up and right, the better; dashed is what guessing gives.",
            ONE_GENRE,
        ),
        Panel(
            "cooccurrence",
            "Genres that come together",
            "The two should look alike; a row's movies, and which other genres they carry.",
            ONE_GENRE,
        ),
    ),
    "Lists": (
        Panel(
            "recall_by_k",
            "Recall by length of list",
            "How much of what belongs together is found among the first k.",
            NO_QUERY,
        ),
        Panel(
            "votes_curve",
            "Relevance against reach",
            "More weight on votes: better known movies, fewer of them.",
            "There is no query to ask, or no votes in the source that would change a list.",
        ),
    ),
    "Training": (
        Panel(
            "training",
            "How it learnt",
            "Losses fall together while it learns; validation rising alone is overfitting.",
        ),
        Panel("texts", "What it read", "How long the documents are and how often words occur."),
        Panel(
            "stages",
            "Where the time went",
            "A bar from a stage's start to its end; what was found in the cache takes none.",
            "Prefect's server had not heard of the stages when this page was written.",
        ),
    ),
    "Source": (
        Panel(
            "drift",
            "Since the champion's source",
            "Shares of movies then and now; where bars differ, the source has moved.",
            NO_CHAMPION,
        ),
    ),
}

#: Tables of the page: file, section, title, and why there may be none.
TABLES = (
    ("genres", "Genres", "Scores of each genre", "No genre was scored."),
    ("slices", "Genres", "Scores of kinds of movies", "No movie was scored."),
    ("mistakes", "Genres", "Surest mistakes", "No test movie was told wrong."),
    (
        "sample_lists",
        "Lists",
        "Lists of well-known films",
        "The source has none of the films that lists are shown of.",
    ),
)


class Image(NamedTuple):
    """A picture that travels in the page, and its width there in pixels."""

    uri: str
    width: int


class ReportContext(BaseModel, frozen=True):
    """What the page says in words and numbers, beside what lies in files."""

    title: str
    run: str
    protocol: str
    notes: list[str]
    scores: list[tuple[str, ...]]
    alone: str
    rows: str
    quarantined: list[dict[str, Any]]
    quarantined_rows: list[dict[str, Any]]
    quarantined_more: int
    command: str
    origin: dict[str, str]
    settings: dict[str, str]


class Table(NamedTuple):
    """Rows as the page shows them, or a sentence on why there are none."""

    title: str
    rows: Sequence[Row]
    missing: str
    more: int = 0


def with_intervals(
    rows: Sequence[tuple[str, ...]], scores: Mapping[str, float], protocol: str
) -> list[tuple[str, ...]]:
    """Rows of `score_rows` with the 95% interval of this run's score after the score."""
    names = {title: f"{NAMES[protocol]}_{metric}" for metric, title in METRICS}
    names |= {title: f"rec_{metric}" for metric, title in LISTS}
    found = []
    for title, own, *others in rows:
        low, high = (scores.get(f"{names[title]}_{end}") for end in ("low", "high"))
        between = "–" if low is None else f"{format_score(low)} to {format_score(high)}"
        found.append((title, own, between, *others))
    return found


def report_context(summary: Summary, logged: Run, quarantine: pa.Table) -> ReportContext:
    """What the report says, from the summary and from what MLflow holds of the run."""
    tags, began = logged.data.tags, datetime.fromtimestamp(logged.info.start_time / 1000, UTC)
    made = ("preset", "protocol", "device", "code", "python")
    origin = {"source": summary.ingested.source, "source SHA-256": summary.ingested.digest}
    origin |= {name: tags[name] for name in made}
    origin |= {n: tags[n] for n in sorted(tags) if n.startswith("version.")}
    rows = score_rows(summary.scores, summary.protocol)
    return ReportContext(
        title=title_text(summary),
        run=f"{logged.info.run_name}, {began:%Y-%m-%d %H:%M} UTC, MLflow run {logged.info.run_id}",
        protocol=summary.protocol,
        notes=notes(summary),
        scores=with_intervals(rows, summary.scores, summary.protocol),
        alone=LEAKS if summary.protocol == "blog" else FIRST,
        rows=row_counts_text(summary.ingested),
        quarantined=quarantine_summary(quarantine),
        quarantined_rows=quarantine.slice(0, SHOWN_ROWS).to_pylist(),
        quarantined_more=max(0, quarantine.num_rows - SHOWN_ROWS),
        command=tags["command"],
        origin=origin,
        settings=dict(sorted(logged.data.params.items())),
    )


def base64_text(content: bytes) -> str:
    """Bytes as the text of a data URI or a script."""
    return base64.b64encode(content).decode()


def gzip_base64(content: bytes) -> str:
    """As `embedded`, compressed; the page undoes it."""
    return base64_text(gzip.compress(content, 6, mtime=0))


@cache
def _plotly_script() -> str:
    """Plotly's code, compressed once in a process that writes several reports."""
    return gzip_base64(files(plotly).joinpath("package_data/plotly.min.js").read_bytes())


def to_image(content: bytes) -> Image:
    """A PNG file as the page shows it: letters of 10 points, as elsewhere on the page."""
    width = int.from_bytes(content[16:20])  # from the header, https://www.w3.org/TR/png/#11IHDR
    return Image(
        f"data:image/png;base64,{base64_text(content)}", round(width * PIXELS_AN_INCH / DPI)
    )


def load_figures(folders: Iterable[Path]) -> defaultdict[str, Image | None]:
    """PNG files by name; None for a name that has no file."""
    found: defaultdict[str, Image | None] = defaultdict(lambda: None)
    for file in (file for folder in folders for file in folder.glob("*.png")):
        found[file.stem] = to_image(file.read_bytes())
    return found


def load_tables(folders: Iterable[Path]) -> dict[str, pa.Table]:
    """Parquet tables that the page shows, by name."""
    names = {"map", "gate", "lists_beside", *(name for name, *_ in TABLES)}
    found = (file for folder in folders for file in folder.glob("*.parquet"))
    return {file.stem: pq.read_table(file) for file in found if file.stem in names}


def truncated_table(title: str, rows: Sequence[Row], missing: str, more: int = 0) -> Table:
    """A table cut to what a person reads, with the number of rows left out, here or before."""
    return Table(title, rows[:SHOWN_ROWS], missing, max(0, len(rows) - SHOWN_ROWS) + more)


def static_tables(facts: ReportContext) -> dict[str, Table]:
    """The tables of the page that no stage has written."""
    none = "No row was quarantined."
    return {
        "quarantined": truncated_table("Quarantined, by reason", facts.quarantined, none),
        "rows": truncated_table(
            "Quarantined rows", facts.quarantined_rows, none, facts.quarantined_more
        ),
        "origin": truncated_table("Made from", name_value_rows(facts.origin), ""),
        "settings": truncated_table("Settings", name_value_rows(facts.settings), ""),
    }


def name_value_rows(values: Mapping[str, str]) -> list[Row]:
    """Names and values as rows."""
    return [{"name": name, "value": value} for name, value in values.items()]


def format_cell(value: object) -> str:
    """A value as the page writes it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def render_html(facts: ReportContext, folders: Sequence[Path]) -> str:
    """The page of a run whose stages have written figures and tables into `folders`."""
    tables = load_tables(folders)
    rows = {name: table.to_pylist() for name, table in tables.items() if name != "map"}
    if beside := rows.get("lists_beside"):
        rows["sample_lists"] = beside
    by_section: dict[str, list[Table]] = {name: [] for name in SECTIONS}
    for name, section, title, missing in TABLES:
        by_section[section].append(truncated_table(title, rows.get(name, []), missing))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = format_cell
    source = files("tasks.reports").joinpath("report.html").read_text("utf-8")
    template = environment.from_string(source)
    held = truncated_table(
        "Beside the champion",
        rows.get("gate", []),
        NOTHING_SHARED if "gate" in rows else facts.alone,
    )
    return template.render(
        facts=facts,
        static_tables=static_tables(facts),
        sections=SECTIONS,
        figures=load_figures(folders),
        tables=by_section,
        gate=held,
        movies=gzip_base64(interactive_map(tables["map"]).to_json().encode())
        if "map" in tables
        else "",
        plotly=_plotly_script(),
    )
