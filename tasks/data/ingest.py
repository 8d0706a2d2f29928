"""Source rows -> valid movies in chunks, and every other row in quarantine with a reason."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger
from pydantic import Field

from tasks.core.contracts import MOVIES, QUARANTINE, IngestRef, MoviesRef, QuarantineRef, UserError
from tasks.core.progress import progress_bar
from tasks.core.retry import io_task
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.parsing import (
    Reason,
    clean_text,
    overview_problem,
    parse_count,
    parse_id,
    parse_names,
    parse_names_or_empty,
    parse_year,
)
from tasks.data.row_counts import ChunkResult, RowCounts
from tasks.data.source_digests import FileState, file_states, read_unchanged
from tasks.data.sources import REQUIRED, Columns, ResolvedSource, Source, open_file, resolve_source

VERSION = 4


class IngestConfig(StrictConfig):
    """How sources are read, and how much damage is too much."""

    chunk_rows: int = Field(1000, ge=1, description="Source rows a chunk")
    columns: Columns = Columns()
    keywords: str | None = Field(
        None, description="File with `id` and `keywords` to join, such as Kaggle's keywords.csv"
    )
    max_quarantined_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of damaged rows (not of missing overviews) that stops, from 50 rows on",
    )
    with_ratings: bool = Field(
        False, description="With the source `kaggle`: fetch MovieLens ratings and links too"
    )


class RejectedRow(NamedTuple):
    """Why a row is not kept, and the cell that says so."""

    column: str
    reason: Reason
    value: str


def read_movie(cells: Mapping[str, str], row: int) -> dict[str, Any] | RejectedRow:
    """One source row as a movie (`MOVIES` but for its source), or the first reason against it."""
    if cells.get("adult", "").strip().casefold() not in ("", "true", "false", "0", "1"):
        return RejectedRow("adult", "shifted_row", cells["adult"])
    movie_id = parse_id(cells["id"])
    if movie_id is None:
        return RejectedRow("id", "bad_id", cells["id"])
    title, overview = clean_text(cells["title"]), clean_text(cells["overview"])
    if not title:
        return RejectedRow("title", "missing_title", cells["title"])
    if problem := overview_problem(overview):
        return RejectedRow("overview", problem, cells["overview"])
    try:
        genres = parse_names(cells.get("genres", ""))
    except ValueError:
        return RejectedRow("genres", "unreadable_genres", cells.get("genres", ""))
    return {
        "id": movie_id,
        "title": title,
        "overview": overview,
        "genres": list(genres),
        "keywords": list(parse_names_or_empty(cells.get("keywords", ""))),
        "year": parse_year(cells.get("release_date", "")),
        "language": clean_text(cells.get("original_language", "")) or None,
        "collection": next(
            iter(parse_names_or_empty(cells.get("belongs_to_collection", ""))), None
        ),
        "vote_count": parse_count(cells.get("vote_count", "")),
        "row": row,
    }


def check_row(source: Source, fields: list[str], row: int) -> dict[str, Any] | RejectedRow:
    """As `read_movie`, after checking that the row has a field for every column of the file.

    A rejection names the column as the file does.
    """
    width = len(source.header)
    if len(fields) < width:
        return RejectedRow(source.header[len(fields)], "shifted_row", ",".join(fields))
    if len(fields) > width:
        return RejectedRow(source.header[-1], "shifted_row", ",".join(fields[width - 1 :]))
    found = read_movie({name: fields[at] for name, at in source.positions.items()}, row)
    if isinstance(found, RejectedRow):
        return found._replace(column=source.header[source.positions[found.column]])
    return found


class IngestState(NamedTuple):
    """What is remembered from chunk to chunk of one source: ids kept, keywords to join."""

    name: str
    seen: set[int]
    keywords: Mapping[int, Sequence[str]]


def validate_rows(
    source: Source, rows: Sequence[tuple[int, list[str]]], catalogue: IngestState
) -> ChunkResult:
    """Keep or quarantine each numbered row; ids of kept movies are added to those seen."""
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for row, fields in rows:
        result = check_row(source, fields, row)
        if isinstance(result, dict) and result["id"] in catalogue.seen:
            column = source.header[source.positions["id"]]
            result = RejectedRow(column, "duplicate_id", str(result["id"]))
        if isinstance(result, RejectedRow):
            cut = result._replace(value=result.value[:200])
            rejected.append({"source": source.name, "row": row, **cut._asdict()})
            continue
        catalogue.seen.add(result["id"])
        result["keywords"] += catalogue.keywords.get(result["id"], ())
        kept.append(result | {"source": catalogue.name})
    movies = pa.Table.from_pylist(kept, MOVIES)
    return ChunkResult(movies, pa.Table.from_pylist(rejected, QUARANTINE), len(rows))


def read_chunks(source: Source, chunk_rows: int, catalogue: IngestState) -> Iterator[ChunkResult]:
    """Stream a file as chunks of `chunk_rows` rows; borders do not change what is kept."""
    numbered = enumerate(source.rows, start=1)
    while block := list(islice(numbered, chunk_rows)):
        yield validate_rows(source, block, catalogue)


def read_keywords(source: Source) -> tuple[dict[int, tuple[str, ...]], int]:
    """Keywords by movie id from a supplementary file, and how many rows could not be read."""
    found: dict[int, tuple[str, ...]] = {}
    unreadable = 0
    for fields in source.rows:
        if len(fields) != len(source.header):
            unreadable += 1
            continue
        movie_id = parse_id(fields[source.positions["id"]])
        try:
            names = parse_names(fields[source.positions["keywords"]])
        except ValueError:
            movie_id = None
        if movie_id is None:
            unreadable += 1
            continue
        found[movie_id] = names
    return found, unreadable


def resolve_sources(sources: Sequence[str], config: IngestConfig) -> list[ResolvedSource]:
    """Every source with its files, which are downloaded where they are elsewhere.

    Raises:
        UserError: one cannot be read, or two share a name and so could not tell their ids apart.
    """
    named = [resolve_source(source, config.with_ratings) for source in sources]
    for name, count in Counter(each.name for each in named).items():
        if count > 1:
            raise UserError(
                f"{count} sources are called '{name}': name them, as in new={name}.csv."
            )
    return named


def open_files(
    named: Sequence[ResolvedSource], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> list[tuple[ResolvedSource, list[Source]]]:
    """Every source with its opened files.

    Raises:
        UserError: a file cannot be read, or lacks a column.
    """
    return [
        (each, [open_file(path, config.columns, required) for path in each.files]) for each in named
    ]


def open_sources(
    sources: Sequence[str], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> list[tuple[ResolvedSource, list[Source]]]:
    """`open_files` of what `resolve_all` finds."""
    return open_files(resolve_sources(sources, config), config, required)


def localize_keywords(config: IngestConfig) -> IngestConfig:
    """The config with the supplementary file as it is on this machine, fetched where it is not."""
    if config.keywords is None:
        return config
    (path,) = resolve_source(config.keywords).files
    return config.model_copy(update={"keywords": str(path.absolute())})


def load_keywords(config: IngestConfig) -> tuple[dict[int, tuple[str, ...]], int]:
    """The supplementary keywords that the config names, and how many of its rows are unreadable."""
    if config.keywords is None:
        return {}, 0
    (path,) = resolve_source(config.keywords).files
    return read_keywords(open_file(path, config.columns, required=("id", "keywords")))


class SourceFile(NamedTuple):
    """A file that is read, and the name of its source."""

    source: str
    state: FileState

    @property
    def digest(self) -> str:
        """Name and SHA-256."""
        return f"{self.source}/{self.state.path.name} {self.state.sha256}"


def list_source_files(sources: Sequence[ResolvedSource], config: IngestConfig) -> list[SourceFile]:
    """Every file that is read, as it is before it is opened."""
    named = list(sources)
    if config.keywords is not None:
        named.append(ResolvedSource("keywords", resolve_source(config.keywords).files))
    return [SourceFile(each.name, state) for each in named for state in file_states(each.files)]


def digests_of(sources: Sequence[ResolvedSource], config: IngestConfig) -> list[str]:
    """Name and SHA-256 of every file that is read."""
    return [file.digest for file in list_source_files(sources, config)]


def source_digest(digests: Sequence[str]) -> str:
    """SHA-256 of the only file, or one for the names and digests of several."""
    return digests[0].split()[-1] if len(digests) == 1 else store.key_of(digests)


def write_chunks(
    sources: Sequence[tuple[ResolvedSource, list[Source]]],
    config: IngestConfig,
    digest: str,
    writer: store.EntryWriter,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> IngestRef:
    """Stream the sources into one parquet file a chunk, and the quarantine beside them."""
    display = " + ".join(file.name for _, files in sources for file in files)
    tally, chunks = RowCounts(), list[MoviesRef]()
    keywords, unreadable = load_keywords(config)
    with pq.ParquetWriter(writer.folder / "quarantine.parquet", QUARANTINE) as quarantine:
        for named, files in sources:
            catalogue = IngestState(named.name, set(), keywords)
            for chunk in (c for f in files for c in read_chunks(f, config.chunk_rows, catalogue)):
                tally.add(chunk)
                on_rows(chunk.rows)
                quarantine.write_table(chunk.quarantine)
                if chunk.movies.num_rows:
                    name = f"{named.name}-{len(chunks):05d}.parquet"
                    chunks.append(writer.table_ref(MoviesRef, name, chunk.movies))
    tally.require_usable(display, config.max_quarantined_share)
    return IngestRef(
        source=display,
        digest=digest,
        chunks=tuple(chunks),
        quarantine=writer.file_ref(QuarantineRef, "quarantine.parquet", tally.rows - tally.kept),
        rows=tally.rows,
        kept=tally.kept,
        unlabelled=tally.unlabelled,
        unreadable_keywords=unreadable,
        reasons=dict(tally.reasons.most_common()),
    )


@io_task("ingest")
def ingest(
    sources: list[str], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> IngestRef:
    """Stream the sources into chunks of valid movies; what is not kept lies in quarantine."""
    named, reading = resolve_sources(sources, config), localize_keywords(config)
    files = list_source_files(named, reading)
    digests = [file.digest for file in files]

    def write(writer: store.EntryWriter) -> IngestRef:
        with read_unchanged([file.state for file in files]):
            opened = open_files(named, reading, required)
            return write_chunks(opened, reading, source_digest(digests), writer, on_rows)

    with progress_bar("ingest") as on_rows:
        key = [VERSION, config, digests, sorted(required)]
        result = store.get_or_create("ingest", key, IngestRef, write)
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
