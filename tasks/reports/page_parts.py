"""What pages of a run are made of: images, tables, lists of movies, provenance, templates."""

import base64
import gzip
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pyarrow as pa
from mlflow.entities import Run
from PIL import Image as PillowImage

from tasks.core.orchestration.artifact_tables import SHOWN_ROWS
from tasks.data.quarantine import quarantine_summary
from tasks.reports.plots import DESCRIPTION, DPI
from tasks.reports.texts.metric_names import column_title

Row = Mapping[str, Any]
CSS_PIXELS_PER_INCH = 96  # https://www.w3.org/TR/css-values/#absolute-lengths
TAGS_OF_ORIGIN = ("preset", "protocol", "device", "code", "host", "python")


class Image(NamedTuple):
    """A picture as a data URI, its width on the page in CSS pixels, and what it shows."""

    uri: str
    width: int
    description: str


class Table(NamedTuple):
    """Rows of a table, the text if there are none, and the number of rows left out."""

    title: str
    rows: Sequence[Row]
    missing: str
    more: int = 0


class MovieList(NamedTuple):
    """Lists for a movie, by the name of the version that they are of, and a note about it.

    A single list has an empty name. A version that lacks the movie has None.
    """

    movie: str
    columns: Mapping[str, Sequence[str] | None]
    note: str = ""


def base64_text(content: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(content).decode()


def gzip_base64(content: bytes) -> str:
    """Compressed bytes as base64 text; the page decompresses them."""
    return base64_text(gzip.compress(content, 6, mtime=0))


def to_image(content: bytes) -> Image:
    """A PNG file at the width that makes its 10-point letters as large as the page's."""
    with PillowImage.open(io.BytesIO(content)) as picture:
        width, description = picture.width, str(picture.info.get(DESCRIPTION, ""))
    uri = f"data:image/png;base64,{base64_text(content)}"
    return Image(uri, round(width * CSS_PIXELS_PER_INCH / DPI), description)


def load_figures(folders: Iterable[Path]) -> defaultdict[str, Image | None]:
    """PNG files in `folders` by stem; None for a name without file."""
    images: defaultdict[str, Image | None] = defaultdict(lambda: None)
    for file in (file for folder in folders for file in folder.glob("*.png")):
        images[file.stem] = to_image(file.read_bytes())
    return images


def truncated_table(title: str, rows: Sequence[Row], missing: str, more: int = 0) -> Table:
    """A table of at most SHOWN_ROWS rows; `more` rows were left out by the caller."""
    return Table(title, rows[:SHOWN_ROWS], missing, max(0, len(rows) - SHOWN_ROWS) + more)


def name_value_rows(values: Mapping[str, str]) -> list[Row]:
    """A row per item, with the columns name and value."""
    return [{"name": name, "value": value} for name, value in values.items()]


def quarantine_tables(quarantine: pa.Table) -> dict[str, Table]:
    """The quarantined rows: counted by reason, and the first of them."""
    missing = "No row was quarantined."
    return {
        "quarantined": truncated_table(
            "Quarantined rows by reason", quarantine_summary(quarantine), missing
        ),
        "rows": truncated_table(
            title="Quarantined rows",
            rows=quarantine.slice(0, SHOWN_ROWS).to_pylist(),
            missing=missing,
            more=max(0, quarantine.num_rows - SHOWN_ROWS),
        ),
    }


def origin_tables(origin: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, Table]:
    """Where a run comes from: provenance and settings."""
    return {
        "origin": truncated_table("Provenance", name_value_rows(origin), ""),
        "settings": truncated_table("Settings", name_value_rows(settings), ""),
    }


def run_line(run: Run) -> str:
    """Name, start and id of an MLflow run."""
    start = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return f"{run.info.run_name}, {start:%Y-%m-%d %H:%M} UTC, MLflow run {run.info.run_id}"


def run_origin(source: str, digest: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Source, code and library versions of a run."""
    origin = {"source": source, "source SHA-256": digest}
    origin |= {name: tags[name] for name in TAGS_OF_ORIGIN if name in tags}
    return origin | {name: tags[name] for name in sorted(tags) if name.startswith("version.")}


def format_cell(value: object) -> str:
    """The text of a table cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) or "–" if isinstance(value, list) else str(value)


def load_template(name: str) -> jinja2.Template:
    """A template of the folder `templates`, which knows how to write cells and columns."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tasks.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": format_cell, "column": column_title}
    return environment.get_template(name)
