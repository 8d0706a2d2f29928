"""Where movies come from: files, archives, globs, URIs and Kaggle, opened as rows of text cells.

What lies at a URI is fetched by `tasks.data.download`.
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

from tasks.core.contracts import RatingsRef, UserError
from tasks.core.redaction import redacted
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.download import download, is_uri, strip_query

KAGGLE_DATASET = "rounakbanik/the-movies-dataset"
KAGGLE_MOVIES = "movies_metadata.csv"
KAGGLE_RATINGS = ("ratings_small.csv", "links_small.csv")
SAMPLE = Path(__file__).parents[2] / "data" / "sample_movies.csv"
_NAMED = re.compile(r"([\w-]+)=(.+)", re.DOTALL)
_BROKEN_ARCHIVE = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError)

#: Column names that other catalogues use, tried in order where the config names none.
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
    "adult": ("adult",),
}
WHAT_TO_GIVE = "Give --source a CSV or parquet file of movies."
REQUIRED = ("id", "title", "overview", "genres")


class Columns(StrictConfig):
    """The source's own column names, where they are not the usual ones."""

    id: str | None = Field(None, description="Column of the id; left out: id, movie_id or tmdb_id")
    title: str | None = Field(None, description="Column of the title; left out: title or name")
    overview: str | None = Field(
        None, description="Column of the text; left out: overview, plot, description or extract"
    )
    genres: str | None = Field(None, description="Column of the genres; left out: genres or genre")
    release_date: str | None = Field(
        None, description="Column of the date or year; left out: release_date or year"
    )
    keywords: str | None = Field(None, description="Column of the keywords; left out: keywords")


class ResolvedSource(NamedTuple):
    """A source as it was asked for: the name that keeps its ids apart, and its files."""

    name: str
    files: tuple[Path, ...]


class Source(NamedTuple):
    """An opened file: name for messages, header, where each known field is, rows of text cells."""

    name: str
    header: list[str]
    positions: dict[str, int]
    rows: Iterator[list[str]]


def source_name(source: str) -> str:
    """Name that keeps a source's ids apart: as in `name=path`, else the file's stem."""
    if match := _NAMED.fullmatch(source):
        return match[1]
    stem = strip_query(redacted(source)).rstrip("/").rsplit("/", 1)[-1].split(".", 1)[0]
    return re.sub(r"[^\w-]+", "", stem) or "source"


def resolve_source(source: str, with_ratings: bool = False) -> ResolvedSource:
    """The local files of a source; URIs and Kaggle's file are downloaded first.

    `sample` is the embedded catalogue, `kaggle` the public data set, a glob stands for the parts
    of one catalogue, and `name=…` names a source.

    Raises:
        UserError: there is no such file, or the address cannot be read.
    """
    match = _NAMED.fullmatch(source)
    where = match[2] if match else source
    if where == "sample":
        return ResolvedSource(source_name(source), (SAMPLE,))
    if where == "kaggle":
        return ResolvedSource(source_name(source), (_from_kaggle(with_ratings),))
    if is_uri(where):
        return ResolvedSource(source_name(source), download(where))
    paths = _matching(where) if has_magic(where) and not Path(where).is_file() else [where]
    files = tuple(map(Path, paths))
    if not files or not all(path.is_file() for path in files):
        raise UserError(
            f"No such file: {redacted(where)}. Give --source a CSV or parquet file of movies."
        )
    return ResolvedSource(source_name(source), files)


def find_ratings(sources: Sequence[str]) -> RatingsRef | None:
    """Ratings and links in the folder of the first source that has them there."""
    for source in sources:
        if is_uri(source.partition("=")[2] if _NAMED.fullmatch(source) else source):
            continue  # a copy of one file, alone in its folder
        named = resolve_source(source)
        ratings, links = (named.files[0].with_name(name).absolute() for name in KAGGLE_RATINGS)
        if ratings.is_file() and links.is_file():
            digest = ratings_digest((ratings, links))
            return RatingsRef(source=named.name, files=(ratings, links), digest=digest)
    return None


def ratings_digest(files: Sequence[Path]) -> str:
    """One SHA-256 of the ratings and the links."""
    return store.sha256(store.file_digest(file).encode() for file in files)


def require_same_ratings(ratings: RatingsRef) -> None:
    """Raises UserError where the ratings that were read are not those of the digest any more."""
    if ratings_digest(ratings.files) != ratings.digest:
        names = " or ".join(file.name for file in ratings.files)
        raise UserError(f"{names} changed while it was read: run again when it is complete.")


def _matching(pattern: str) -> list[str]:
    found: list[str] = fsspec.filesystem("file").glob(pattern)
    return sorted(found)


def _from_kaggle(with_ratings: bool) -> Path:
    """Kaggle's movies file, downloaded with kagglehub; the ratings come to lie beside it."""
    try:
        import kagglehub
    except ImportError:
        raise UserError("Source 'kaggle' needs kagglehub: pip install -e '.[kaggle]'.") from None
    for name in KAGGLE_RATINGS if with_ratings else ():
        kagglehub.dataset_download(KAGGLE_DATASET, path=name)
    return Path(kagglehub.dataset_download(KAGGLE_DATASET, path=KAGGLE_MOVIES))


def find_columns(
    name: str, header: Sequence[str], columns: Columns, required: Sequence[str] = REQUIRED
) -> dict[str, int]:
    """Position of each known field in the header: as configured, else by its usual names.

    Raises:
        UserError: a required column, or one that was named, is not there.
    """
    asked = columns.model_dump()
    found: dict[str, int] = {}
    for field, aliases in ALIASES.items():
        named = asked.get(field)
        present = [alias for alias in ((named,) if named else aliases) if alias in header]
        if present:
            found[field] = header.index(present[0])
        elif named or field in required:
            raise UserError(
                f"{name}: no column '{named or field}' (has: {', '.join(header)[:300]}). "
                f"Map it with --ingest.columns.{field} NAME."
            )
    return found


def open_file(path: Path, columns: Columns, required: Sequence[str] = REQUIRED) -> Source:
    """Open a CSV (plain, gzip, zip, bz2, xz) or parquet file; rows are read as they are asked for.

    Raises:
        UserError: the file is empty, not of its kind, or lacks a column.
    """
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty.")
    header, rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    return Source(path.name, header, find_columns(path.name, header, columns, required), rows)


def _csv(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    csv.field_size_limit(2**31 - 1)  # an overview may be longer than the csv module's 128 kB
    if path.suffix == ".zip":
        _require_one_member(path)
    rows = _csv_rows(path)
    return [name.strip() for name in next(rows, [])], rows


def _require_one_member(path: Path) -> None:
    try:
        names = [info.filename for info in zipfile.ZipFile(path).infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: a damaged archive ({error}).") from error
    if len(names) != 1:
        raise UserError(
            f"{path}: an archive of {len(names)} files ({', '.join(names)[:200]}). "
            f"Name one of them: --source zip://{names[0] if names else 'FILE'}::{path}"
        )


def _text(path: Path, errors: str) -> IO[str]:
    options = {"encoding": "utf-8-sig", "errors": errors, "newline": "", "compression": "infer"}
    file: IO[str] = fsspec.open(str(path), "rt", **options).open()
    return file


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        with _text(path, "strict") as file:
            yield from filter(None, csv.reader(file))  # a blank line is no row
    except UnicodeDecodeError:
        raise UserError(_where_not_utf8(path)) from None
    except (csv.Error, OSError, *_BROKEN_ARCHIVE) as error:
        raise UserError(f"{path}: not a readable file ({error}).") from error


def _where_not_utf8(path: Path) -> str:
    """Message that names the first row and column which is not UTF-8."""
    with _text(path, "surrogateescape") as file:
        reader = filter(None, csv.reader(file))
        header = next(reader)
        if any(_undecoded(name) for name in header):
            return f"{path}: not a text file in UTF-8, its first line cannot be read."
        for row, fields in enumerate(reader, start=1):
            for column, cell in zip(header, fields, strict=False):
                if _undecoded(cell):
                    return f"{path}: row {row}, column '{column}' is not UTF-8. Save it as UTF-8."
    return f"{path}: not a text file in UTF-8."


def _undecoded(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _parquet(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}).") from error
    return list(file.schema_arrow.names), _parquet_rows(path, file)


def _parquet_rows(path: Path, file: pq.ParquetFile) -> Iterator[list[str]]:
    try:
        for batch in file.iter_batches(1000):
            yield from ([_cell(value) for value in row.values()] for row in batch.to_pylist())
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}).") from error


def _cell(value: object) -> str:
    if value is None:
        return ""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
