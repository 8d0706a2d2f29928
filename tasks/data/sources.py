"""Sources (files, archives, globs, URIs, Kaggle) -> opened files with rows of text cells.

`tasks.data.download` downloads files at a URI.
"""

import re
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import fsspec

from tasks.core.contracts import UserError
from tasks.core.redaction import redacted
from tasks.data.columns import REQUIRED, Columns, find_columns
from tasks.data.download import SOURCE_ADVICE, download, is_uri, strip_query
from tasks.data.files.delimited import DamagedLine, Record
from tasks.data.files.detection import DELIMITERS, FileFormat
from tasks.data.files.tables import open_table

KAGGLE_DATASET = "rounakbanik/the-movies-dataset"
KAGGLE_MOVIES = "movies_metadata.csv"
KAGGLE_RATINGS = ("ratings_small.csv", "links_small.csv")
SAMPLE = Path(__file__).parents[2] / "data" / "sample_movies.csv"
MAX_NAMED_FILES = 3
_NAMED = re.compile(r"([\w-]+)=(.+)", re.DOTALL)


class ResolvedSource(NamedTuple):
    """A source with its name, which makes its ids unique, and its local files."""

    name: str
    files: tuple[Path, ...]


class ReadOptions(NamedTuple):
    """What is said of files rather than detected: column names, encoding, name of the delimiter."""

    columns: Columns = Columns()
    encoding: str | None = None
    delimiter: str | None = None


DETECTED = ReadOptions()


class Source(NamedTuple):
    """An opened file: name for messages, header, column position of each field, rows of cells."""

    name: str
    header: list[str]
    positions: dict[str, int]
    rows: Iterator[Record]
    format: FileFormat


def source_name(source: str) -> str:
    """Name of a source: `name` of `name=path`, else the stem of the file, else its folder."""
    name, location = _split_name(source)
    parts = [re.sub(r"[^\w-]+", "", part) for part in _stems(location)]
    return name or next(filter(None, reversed(parts)), "source")


def _stems(location: str) -> list[str]:
    """Names of the last folder and of the file without suffixes."""
    parts = strip_query(redacted(location)).rstrip("/").split("/")[-2:]
    return [*parts[:-1], parts[-1].split(".", 1)[0]]


def _split_name(source: str) -> tuple[str | None, str]:
    """Name and location of `name=path`; not if a file is called so (`year=2024/movies.csv`)."""
    match = _NAMED.fullmatch(source)
    if not match or Path(source).exists() or (has_magic(source) and _glob(source)):
        return None, source
    return match[1], match[2]


def resolve_source(source: str, with_ratings: bool = False) -> ResolvedSource:
    """The name and local files of a source; remote files and Kaggle's are downloaded.

    `sample` is the bundled catalogue and `kaggle` the public data set. A glob pattern matches the
    parts of one catalogue. `name=…` gives the source a name.

    Raises:
        UserError: there is no such file, or the URI cannot be read.
    """
    location = strip_name(source)
    return ResolvedSource(source_name(source), _local_files(location, with_ratings))


def source_label(files: Sequence[Path]) -> str:
    """Names of the files of a run; of many, the first and the last."""
    names = [path.name for path in files]
    if len(names) <= MAX_NAMED_FILES:
        return " + ".join(names)
    return f"{names[0]} … {names[-1]} ({len(names)} files)"


def strip_name(source: str) -> str:
    """Location of a source: `path` of `name=path`."""
    return _split_name(source)[1]


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
    if Path(location).is_dir():
        raise UserError(f"{redacted(location)} is a folder. {SOURCE_ADVICE}")
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


def open_file(
    path: Path, options: ReadOptions = DETECTED, required: Sequence[str] = REQUIRED
) -> Source:
    """Open a file of any format that `open_table` reads; its rows are read lazily.

    Folders named `column=value`, as Hive and Spark write them, are columns too.

    Raises:
        UserError: the file is empty, unreadable, or lacks a required column.
    """
    delimiters = {name: character for character, name in DELIMITERS.items()}
    delimiter = options.delimiter and delimiters[options.delimiter]
    table = open_table(path, options.encoding, delimiter, options.columns.reads)
    folders = _folder_columns(path, table.header)
    header, values = [*table.header, *folders], list(folders.values())
    positions = find_columns(path.name, header, options.columns, required)
    rows = (_with_values(row, values) for row in table.rows) if values else table.rows
    return Source(path.name, header=header, positions=positions, rows=rows, format=table.format)


HIVE_MISSING = "__HIVE_DEFAULT_PARTITION__"
INGESTION_DATES = ("date", "dt", "day")  # when files were written, not when movies were released


def _folder_columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    pairs = (folder.partition("=") for folder in path.parent.parts)
    return {
        name: "" if value == HIVE_MISSING else unquote(value)
        for name, mark, value in pairs
        if mark and name not in (*header, *INGESTION_DATES)
    }


def _with_values(row: Record, values: list[str]) -> Record:
    return row if isinstance(row, DamagedLine) else [*row, *values]
