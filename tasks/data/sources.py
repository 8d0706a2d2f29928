"""Sources (files, archives, globs, URIs, Kaggle) -> opened files with rows of text cells.

`tasks.data.download` downloads files at a URI.
"""

import csv
import gzip
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path
from typing import IO, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tasks.core.contracts import UserError
from tasks.core.redaction import redacted
from tasks.core.strict_config import StrictConfig
from tasks.data.download import SOURCE_ADVICE, download, is_uri, strip_query

KAGGLE_DATASET = "rounakbanik/the-movies-dataset"
KAGGLE_MOVIES = "movies_metadata.csv"
KAGGLE_RATINGS = ("ratings_small.csv", "links_small.csv")
SAMPLE = Path(__file__).parents[2] / "data" / "sample_movies.csv"
_NAMED = re.compile(r"([\w-]+)=(.+)", re.DOTALL)
_BROKEN_ARCHIVE = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError)

#: Usual column names by field, tried in this order if the config names no column.
ALIASES = {
    "id": ("id", "movie_id", "tmdb_id"),
    "title": ("title", "name"),
    "overview": ("overview", "plot", "description", "extract"),
    "genres": ("genres", "genre"),
    "release_date": ("release_date", "year"),
    "original_language": ("original_language", "language"),
    "belongs_to_collection": ("belongs_to_collection", "collection"),
    "vote_count": ("vote_count",),
    "keywords": ("keywords",),
    "director": ("director", "directors"),
    "cast": ("cast", "actors", "stars"),
    "crew": ("crew",),
    "imdb_id": ("imdb_id", "tconst"),
    "adult": ("adult",),
}
REQUIRED = ("id", "title", "overview", "genres")


class Columns(StrictConfig):
    """Column names of the source, if they differ from the usual names (`ALIASES`)."""

    id: str | None = Field(
        None, description="Column with the movie id; default: id, movie_id or tmdb_id"
    )
    title: str | None = Field(None, description="Column with the title; default: title or name")
    overview: str | None = Field(
        None,
        description="Column with the overview; default: overview, plot, description or extract",
    )
    genres: str | None = Field(None, description="Column with the genres; default: genres or genre")
    release_date: str | None = Field(
        None, description="Column with the release date or year; default: release_date or year"
    )
    keywords: str | None = Field(None, description="Column with the keywords; default: keywords")
    director: str | None = Field(
        None, description="Column with the directors; default: director or directors"
    )
    cast: str | None = Field(
        None, description="Column with the actors; default: cast, actors or stars"
    )


class ResolvedSource(NamedTuple):
    """A source with its name, which makes its ids unique, and its local files."""

    name: str
    files: tuple[Path, ...]


class Source(NamedTuple):
    """An opened file: name for messages, header, column position of each field, rows of cells."""

    name: str
    header: list[str]
    positions: dict[str, int]
    rows: Iterator[list[str]]


def source_name(source: str) -> str:
    """Name of a source: `name` of `name=path`, else the stem of the file."""
    if match := _NAMED.fullmatch(source):
        return match[1]
    stem = strip_query(redacted(source)).rstrip("/").rsplit("/", 1)[-1].split(".", 1)[0]
    return re.sub(r"[^\w-]+", "", stem) or "source"


def resolve_source(source: str, with_ratings: bool = False) -> ResolvedSource:
    """The name and local files of a source; remote files and Kaggle's are downloaded.

    `sample` is the bundled catalogue and `kaggle` the public data set. A glob pattern matches the
    parts of one catalogue. `name=…` gives the source a name.

    Raises:
        UserError: there is no such file, or the URI cannot be read.
    """
    location = strip_name(source)
    return ResolvedSource(source_name(source), _local_files(location, with_ratings))


def strip_name(source: str) -> str:
    """Location of a source: `path` of `name=path`."""
    match = _NAMED.fullmatch(source)
    return match[2] if match else source


def _local_files(location: str, with_ratings: bool) -> tuple[Path, ...]:
    if location == "sample":
        return (SAMPLE,)
    if location == "kaggle":
        for name in KAGGLE_RATINGS if with_ratings else ():
            download_from_kaggle(name)
        return (download_from_kaggle(KAGGLE_MOVIES),)
    if is_uri(location):
        return download(location)
    is_pattern = has_magic(location) and not Path(location).is_file()
    files = tuple(map(Path, _glob(location) if is_pattern else [location]))
    if not files or not all(path.is_file() for path in files):
        raise UserError(f"No such file: {redacted(location)}. {SOURCE_ADVICE}")
    return files


def _glob(pattern: str) -> list[str]:
    paths: list[str] = fsspec.filesystem("file").glob(pattern)
    return sorted(paths)


def download_from_kaggle(name: str) -> Path:
    """Local copy of a file of Kaggle's data set; all of its files are stored in one folder.

    Raises:
        UserError: kagglehub is not installed.
    """
    try:
        import kagglehub
    except ImportError:
        raise UserError(
            "Source 'kaggle' needs kagglehub: "
            ".venv/bin/pip install -c requirements.lock -e '.[kaggle]'."
        ) from None
    return Path(kagglehub.dataset_download(KAGGLE_DATASET, path=name))


def find_columns(
    name: str, header: Sequence[str], columns: Columns, required: Sequence[str] = REQUIRED
) -> dict[str, int]:
    """Column position of each field: that of the configured name, else of a usual name.

    Raises:
        UserError: a required or configured column is missing.
    """
    configured = columns.model_dump()
    positions: dict[str, int] = {}
    for field, aliases in ALIASES.items():
        column = configured.get(field)
        present = [alias for alias in ((column,) if column else aliases) if alias in header]
        if present:
            positions[field] = header.index(present[0])
        elif column or field in required:
            raise UserError(
                f"{name}: no column '{column or field}' (has: {', '.join(header)[:300]}). "
                f"Map it with --ingest.columns.{field} NAME."
            )
    return positions


def open_file(path: Path, columns: Columns, required: Sequence[str] = REQUIRED) -> Source:
    """Open a CSV (plain, gzip, zip, bz2, xz) or parquet file; its rows are read lazily.

    Raises:
        UserError: the file is empty, unreadable, or lacks a required column.
    """
    header, rows = open_table(path)
    positions = find_columns(path.name, header, columns=columns, required=required)
    return Source(name=path.name, header=header, positions=positions, rows=rows)


def open_table(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows of a file in one of the formats of `open_file`, whatever its columns are.

    Raises:
        UserError: the file is empty or unreadable.
    """
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty.")
    return _open_parquet(path) if path.suffix == ".parquet" else _open_csv(path)


def _open_csv(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    csv.field_size_limit(2**31 - 1)  # the default of 128 kB is too small for some overviews
    if path.suffix == ".zip":
        _require_one_member(path)
    rows = _csv_rows(path)
    header = [name.strip() for name in next(rows, [])]
    return header, rows


def _require_one_member(path: Path) -> None:
    try:
        names = [info.filename for info in zipfile.ZipFile(path).infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: the archive is damaged ({error}).") from error
    if len(names) != 1:
        raise UserError(
            f"{path}: the archive has {len(names)} files ({', '.join(names)[:200]}). "
            f"Choose one: --source zip://{names[0] if names else 'FILE'}::{path}"
        )


def _open_text(path: Path, errors: str) -> IO[str]:
    options = {"encoding": "utf-8-sig", "errors": errors, "newline": "", "compression": "infer"}
    file: IO[str] = fsspec.open(str(path), "rt", **options).open()
    return file


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        with _open_text(path, "strict") as file:
            yield from filter(None, csv.reader(file))  # blank lines are not rows
    except UnicodeDecodeError:
        raise UserError(_not_utf8_message(path)) from None
    except (csv.Error, OSError, *_BROKEN_ARCHIVE) as error:
        raise UserError(f"{path}: the file cannot be read ({error}).") from error


def _not_utf8_message(path: Path) -> str:
    """Message with the first row and column that is not UTF-8."""
    with _open_text(path, "surrogateescape") as file:
        reader = filter(None, csv.reader(file))
        header = next(reader)
        if any(_has_undecoded_bytes(name) for name in header):
            return f"{path}: not a UTF-8 text file: its header cannot be read."
        for row, fields in enumerate(reader, start=1):
            for column, cell in zip(header, fields, strict=False):
                if _has_undecoded_bytes(cell):
                    place = f"row {row}, column '{column}'"
                    return f"{path}: {place} is not UTF-8. Save the file as UTF-8."
    return f"{path}: not a UTF-8 text file."


def _has_undecoded_bytes(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _open_parquet(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: the parquet file cannot be read ({error}).") from error
    return list(file.schema_arrow.names), _parquet_rows(path, file)


def _parquet_rows(path: Path, file: pq.ParquetFile) -> Iterator[list[str]]:
    try:
        for batch in file.iter_batches(1000):
            yield from ([_cell_text(value) for value in row.values()] for row in batch.to_pylist())
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: the parquet file cannot be read ({error}).") from error


def _cell_text(value: object) -> str:
    """A parquet value as the text that a CSV file has; lists and structs become JSON."""
    if value is None:
        return ""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
