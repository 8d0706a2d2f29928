"""Source file -> valid movies in chunks, and every other row in quarantine with a reason."""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from tasks import store
from tasks.contracts import MOVIES, QUARANTINE, IngestRef, MoviesRef, QuarantineRef, UserError

VERSION = 1
REQUIRED = ("id", "title", "overview", "genres")
KAGGLE_DATASET = "rounakbanik/the-movies-dataset"
KAGGLE_FILE = "movies_metadata.csv"
SAMPLE = Path(__file__).parents[1] / "data" / "sample_movies.csv"

Reason = Literal[
    "shifted_row",
    "bad_id",
    "missing_title",
    "missing_overview",
    "placeholder_overview",
    "unreadable_genres",
    "duplicate_id",
]
#: Texts that catalogues put where an overview is missing, folded and without punctuation.
PLACEHOLDERS = frozenset(
    [
        "no overview",
        "no overview found",
        "no overview yet",
        "no overview available",
        "no description",
        "no description available",
        "not available",
        "n a",
        "none",
        "null",
        "nan",
    ]
)
EMPTY_LISTS = frozenset(["", "nan", "none", "null"])
PLAIN_NAMES = re.compile(r"[\w&'/ -]+(\|[\w&'/ -]+)*")
MAX_LIST_LENGTH = 20_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\s]+")
_WORD = re.compile(r"[^\W\d_]{2,}")


class IngestConfig(BaseModel):
    """How the source is cut up."""

    chunk_rows: int = Field(1000, ge=1, description="Source rows a chunk")


class Source(NamedTuple):
    """An opened source: file name for messages, column names, and its rows as text cells."""

    name: str
    columns: list[str]
    rows: Iterator[list[str]]


class Rejected(NamedTuple):
    """Why a row is not kept, and the cell that says so."""

    column: str
    reason: Reason
    value: str


def clean(text: str) -> str:
    """Text without control characters, white space collapsed."""
    return _CONTROL.sub(" ", text).strip()


def literal(text: str) -> Any:
    """A JSON or Python literal, never evaluated.

    Raises:
        ValueError: the text is neither, or too long or too deep to be a list of names.
    """
    if len(text) > MAX_LIST_LENGTH:
        raise ValueError("too long for a list of names")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # not JSON: Kaggle writes Python literals
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("neither JSON nor a Python literal") from error


@lru_cache(maxsize=65_536)
def parse_names(text: str) -> tuple[str, ...]:
    """Names in a cell such as `[{'id': 18, 'name': 'Drama'}]`, `["Drama"]` or `Drama|Comedy`.

    Repeats are dropped, padding is stripped and an all-lower-case name gets capitals.

    Raises:
        ValueError: the cell is not empty and no list of names can be read from it.
    """
    text = text.strip()
    if text.casefold() in EMPTY_LISTS:
        return ()
    if PLAIN_NAMES.fullmatch(text):
        return _unique(text.split("|"))
    value = literal(text)
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise ValueError("not a list")
    return _unique([item.get("name") if isinstance(item, dict) else item for item in items])


def _unique(names: Iterable[Any]) -> tuple[str, ...]:
    found = dict.fromkeys(_name(name) for name in names)
    return tuple(found)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not clean(value):
        raise ValueError("an item without a name")
    name = clean(value)
    return name.title() if name.islower() else name


def parse_id(text: str) -> int | None:
    """A positive whole number, also when written as a float (`862.0`); None if it is not one."""
    match = re.fullmatch(r"(\d{1,18})(\.0+)?", text.strip())
    return int(match[1]) or None if match else None


def parse_year(text: str) -> int | None:
    """Year of a date that starts with it (`1995-10-30`); None where there is none."""
    match = re.match(r"(18[7-9]\d|19\d\d|20\d\d)(?!\d)", text.strip())
    return int(match[1]) if match else None


def parse_count(text: str) -> int | None:
    """A count that may be written as a float; None where it is missing or not a number."""
    return int(float(text)) if re.fullmatch(r"\d{1,15}(\.\d+)?", text.strip()) else None


def parse_collection(text: str) -> str | None:
    """Name of the franchise in `belongs_to_collection`; None where missing or unreadable."""
    try:
        names = parse_names(text)
    except ValueError:
        return None  # a by-fact: not a reason to lose the movie
    return names[0] if names else None


def overview_problem(overview: str) -> Reason | None:
    """Why a text is no overview, or None."""
    if not overview:
        return "missing_overview"
    words = re.sub(r"[\W_]+", " ", overview.casefold()).strip()
    return "placeholder_overview" if words in PLACEHOLDERS or not _WORD.search(words) else None


def read_movie(cells: Mapping[str, str], row: int) -> dict[str, Any] | Rejected:
    """One source row as a movie (`MOVIES`), or the first reason why it is none."""
    if cells.get("adult", "").strip() not in ("", "True", "False"):
        return Rejected("adult", "shifted_row", cells["adult"])
    movie_id = parse_id(cells["id"])
    if movie_id is None:
        return Rejected("id", "bad_id", cells["id"])
    title, overview = clean(cells["title"]), clean(cells["overview"])
    if not title:
        return Rejected("title", "missing_title", cells["title"])
    if problem := overview_problem(overview):
        return Rejected("overview", problem, cells["overview"])
    try:
        genres = parse_names(cells["genres"])
    except ValueError:
        return Rejected("genres", "unreadable_genres", cells["genres"])
    return {
        "id": movie_id,
        "title": title,
        "overview": overview,
        "genres": list(genres),
        "year": parse_year(cells.get("release_date", "")),
        "language": clean(cells.get("original_language", "")) or None,
        "collection": parse_collection(cells.get("belongs_to_collection", "")),
        "vote_count": parse_count(cells.get("vote_count", "")),
        "row": row,
    }


def check_row(columns: Sequence[str], fields: list[str], row: int) -> dict[str, Any] | Rejected:
    """As `read_movie`, after checking that the row has a field for every column."""
    if len(fields) < len(columns):
        return Rejected(columns[len(fields)], "shifted_row", ",".join(fields))
    if len(fields) > len(columns):
        return Rejected(columns[-1], "shifted_row", ",".join(fields[len(columns) - 1 :]))
    return read_movie(dict(zip(columns, fields, strict=True)), row)


def check_columns(name: str, columns: Sequence[str]) -> None:
    """Raises UserError that names the missing required columns and those there are."""
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        wanted = ", ".join(f"'{column}'" for column in missing)
        raise UserError(f"{name}: no column {wanted} (has: {', '.join(columns)[:300]}).")


def open_source(path: Path) -> Source:
    """Open a CSV or parquet file and check its columns; rows are read as they are asked for.

    Raises:
        UserError: the file is missing, empty, not of its kind, or lacks a required column.
    """
    if not path.is_file():
        raise UserError(f"No such file: {path}. Give --source a CSV or parquet file of movies.")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty.")
    source = _open_parquet(path) if path.suffix == ".parquet" else _open_csv(path)
    check_columns(source.name, source.columns)
    return source


def _open_csv(path: Path) -> Source:
    csv.field_size_limit(2**31 - 1)  # an overview may be longer than the csv module's 128 kB
    rows = _csv_rows(path)
    header = [name.strip() for name in next(rows, [])]
    return Source(path.name, header, rows)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from filter(None, csv.reader(file))  # a blank line is no row
    except UnicodeDecodeError:
        raise UserError(_where_not_utf8(path)) from None
    except csv.Error as error:
        raise UserError(f"{path}: not a readable CSV file ({error}).") from error


def _where_not_utf8(path: Path) -> str:
    """Message that names the first row and column which is not UTF-8."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
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


def _open_parquet(path: Path) -> Source:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}).") from error
    rows = (
        [_cell(value) for value in record.values()]
        for batch in file.iter_batches(1000)
        for record in batch.to_pylist()
    )
    return Source(path.name, file.schema_arrow.names, rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)


class Sorted(NamedTuple):
    """A chunk of source rows, each in exactly one of two places."""

    movies: pa.Table
    quarantine: pa.Table


def sort_rows(source: Source, rows: Iterable[tuple[int, list[str]]], seen: set[int]) -> Sorted:
    """Keep or quarantine each numbered row; ids of kept movies are added to `seen`."""
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for row, fields in rows:
        result = check_row(source.columns, fields, row)
        if isinstance(result, dict) and result["id"] in seen:
            result = Rejected("id", "duplicate_id", str(result["id"]))
        if isinstance(result, Rejected):
            cut = result._replace(value=result.value[:200])
            rejected.append({"source": source.name, "row": row, **cut._asdict()})
            continue
        seen.add(result["id"])
        kept.append(result)
    return Sorted(pa.Table.from_pylist(kept, MOVIES), pa.Table.from_pylist(rejected, QUARANTINE))


def chunked(source: Source, chunk_rows: int) -> Iterator[Sorted]:
    """Stream a source as chunks of `chunk_rows` rows; borders do not change what is kept."""
    seen: set[int] = set()
    numbered = enumerate(source.rows, start=1)
    while block := list(islice(numbered, chunk_rows)):
        yield sort_rows(source, block, seen)


def require_movies(name: str, kept: int, reasons: Mapping[str, int]) -> None:
    """Raises UserError if nothing can be learnt from the source, with the reasons."""
    if kept:
        return
    if not reasons:
        raise UserError(f"{name}: the file has a header but no rows.")
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    raise UserError(f"{name}: none of its {sum(reasons.values())} rows can be used ({counts}).")


def resolve_source(source: str) -> Path:
    """Path of a source: `sample` is the embedded one, `kaggle` is downloaded with kagglehub."""
    if source == "sample":
        return SAMPLE
    if source != "kaggle":
        return Path(source)
    try:
        import kagglehub
    except ImportError:
        raise UserError("Source 'kaggle' needs kagglehub: pip install -e '.[kaggle]'.") from None
    return Path(kagglehub.dataset_download(KAGGLE_DATASET, path=KAGGLE_FILE))


def write_chunks(source: Source, digest: str, chunk_rows: int, slot: store.Slot) -> IngestRef:
    """Stream the source into one parquet file a chunk, and the quarantine beside them."""
    chunks: list[MoviesRef] = []
    quarantine: list[pa.Table] = []
    unlabelled = 0
    for number, (movies, rejected) in enumerate(chunked(source, chunk_rows)):
        quarantine.append(rejected)
        unlabelled += sum(not genres for genres in movies["genres"].to_pylist())
        if movies.num_rows:
            chunks.append(slot.table(MoviesRef, f"chunk-{number:05d}.parquet", movies))
    rejected = pa.concat_tables([QUARANTINE.empty_table(), *quarantine])
    reasons = Counter(rejected["reason"].to_pylist())
    kept = sum(chunk.rows for chunk in chunks)
    require_movies(source.name, kept, reasons)
    return IngestRef(
        source=source.name,
        digest=digest,
        chunks=tuple(chunks),
        quarantine=slot.table(QuarantineRef, "quarantine.parquet", rejected),
        rows=kept + rejected.num_rows,
        kept=kept,
        unlabelled=unlabelled,
        reasons=dict(reasons),
    )


@task(name="ingest", cache_policy=NO_CACHE)
def ingest(source: str, config: IngestConfig) -> IngestRef:
    """Stream the source into chunks of valid movies; what is not kept lies in quarantine."""
    path = resolve_source(source)
    opened = open_source(path)
    digest = store.file_digest(path)
    result = store.entry(
        "ingest",
        [VERSION, config, opened.name, digest],
        IngestRef,
        lambda slot: write_chunks(opened, digest, config.chunk_rows, slot),
    )
    get_run_logger().info(
        "%s: %d rows, %d kept in %d chunks (%d without genres), %d quarantined %s",
        result.source,
        result.rows,
        result.kept,
        len(result.chunks),
        result.unlabelled,
        result.quarantine.rows,
        result.reasons or "",
    )
    return result
