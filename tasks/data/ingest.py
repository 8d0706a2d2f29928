"""Sources -> chunks of valid movies, and a quarantine with the reason for every other row."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import pyarrow.parquet as pq
from prefect import get_run_logger
from pydantic import Field

from tasks.core.contracts import QUARANTINE, IngestRef, MoviesRef, QuarantineRef, UserError
from tasks.core.orchestration.progress import progress_bar
from tasks.core.orchestration.retry import retry_options
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.columns import REQUIRED, Columns
from tasks.data.companions.joined_files import (
    NamesById,
    load_joined_files,
    locate_joined_files,
    names_by_column,
)
from tasks.data.conventions import Conventions, learn_conventions
from tasks.data.files.detection import Delimiter
from tasks.data.quarantine import show_quarantine
from tasks.data.row_counts import ChunkResult, RowCounts
from tasks.data.source_digests import FileState, file_states, read_unchanged
from tasks.data.sources import (
    ReadOptions,
    ResolvedSource,
    Source,
    open_file,
    resolve_source,
    source_label,
)
from tasks.data.validation import IngestState, validate_rows

MAX_UNDATED_SHARE = 0.05  # of the movies, for a column of dates to be said to be unreadable


class OpenedSource(NamedTuple):
    """A source with its opened files and how each of them is written."""

    source: ResolvedSource
    files: list[Source]
    conventions: list[Conventions]


class IngestConfig(StrictConfig):
    """How sources are read, and how many invalid rows are accepted."""

    chunk_rows: int = Field(1000, ge=1, description="Source rows per chunk")
    columns: Columns = Columns()
    encoding: str | None = Field(
        None, description="Encoding of text files, such as cp1252; default: UTF-8 or UTF-16"
    )
    delimiter: Delimiter | None = Field(
        None, description="Mark between the columns of text files; default: detected"
    )
    keywords: str | None = Field(
        None,
        description="File with columns `id` and `keywords` to join, such as Kaggle's keywords.csv; "
        "`kaggle` downloads that",
    )
    credits: str | None = Field(
        None,
        description="File with columns `id`, `cast` and `crew` to join, such as Kaggle's "
        "credits.csv; `kaggle` downloads that",
    )
    max_quarantined_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Maximum share of invalid rows, not counting missing overviews; above it the "
        "run fails (for sources of 50 rows or more)",
    )
    with_ratings: bool = Field(
        False, description="Also download MovieLens ratings and links (source `kaggle` only)"
    )

    @property
    def read_options(self) -> ReadOptions:
        """What is said of the files rather than detected."""
        return ReadOptions(self.columns, self.encoding, self.delimiter)

    @property
    def joined_files(self) -> dict[str, str]:
        """Locations of the files to join, by kind."""
        locations = {"keywords": self.keywords, "credits": self.credits}
        return {kind: location for kind, location in locations.items() if location is not None}


def read_chunks(source: Source, chunk_rows: int, state: IngestState) -> Iterator[ChunkResult]:
    """Validate a file in chunks of `chunk_rows` rows; the chunk size does not change the result."""
    numbered_rows = enumerate(source.rows, start=1)
    while rows := list(islice(numbered_rows, chunk_rows)):
        yield validate_rows(source, rows, state)


def read_files(opened: OpenedSource, chunk_rows: int, state: IngestState) -> Iterator[ChunkResult]:
    """Validate the files of a source in chunks, each file by its own conventions."""
    for file, conventions in zip(opened.files, opened.conventions, strict=True):
        state.conventions = conventions
        yield from read_chunks(file, chunk_rows, state)


def resolve_sources(sources: Sequence[str], config: IngestConfig) -> list[ResolvedSource]:
    """Every source with its local files; remote files are downloaded.

    Raises:
        UserError: a source cannot be read, or two sources have the same name, so that their ids
            could not be distinguished.
    """
    resolved = [resolve_source(source, config.with_ratings) for source in sources]
    for name, count in Counter(source.name for source in resolved).items():
        if count > 1:
            raise UserError(
                f"{count} sources are named '{name}': give each another name, as in new={name}.csv."
            )
    return resolved


def open_files(
    resolved: Sequence[ResolvedSource], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> list[OpenedSource]:
    """Open the files of every source, after reading them once for their conventions.

    Raises:
        UserError: a file cannot be read or lacks a required column.
    """
    return [_open_source(source, config.read_options, required) for source in resolved]


def _open_source(
    source: ResolvedSource, options: ReadOptions, required: Sequence[str]
) -> OpenedSource:
    conventions = learn_conventions(open_file(path, options, required) for path in source.files)
    files = [open_file(path, options, required) for path in source.files]
    return OpenedSource(source, files, conventions)


def open_sources(
    sources: Sequence[str], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> list[OpenedSource]:
    """Resolve all sources and open their files; see `resolve_sources` and `open_files`."""
    return open_files(resolve_sources(sources, config), config, required)


def localize_joined_files(config: IngestConfig) -> IngestConfig:
    """The config with local paths of the joined files, which are downloaded if they are remote."""
    paths = locate_joined_files(config.joined_files)
    return config.model_copy(update={kind: str(path) for kind, path in paths.items()})


class SourceFile(NamedTuple):
    """An input file with its state before it is read, and the name of its source."""

    source: str
    state: FileState

    @property
    def digest(self) -> str:
        """Text `SOURCE/FILE SHA-256`."""
        return f"{self.source}/{self.state.path.name} {self.state.sha256}"


def list_source_files(sources: Sequence[ResolvedSource], config: IngestConfig) -> list[SourceFile]:
    """All input files, including the joined files, with their states."""
    joined = locate_joined_files(config.joined_files)
    inputs = [*sources, *(ResolvedSource(kind, (path,)) for kind, path in joined.items())]
    return [
        SourceFile(source.name, state) for source in inputs for state in file_states(source.files)
    ]


def digests_of(sources: Sequence[ResolvedSource], config: IngestConfig) -> list[str]:
    """Name and SHA-256 of every input file."""
    return [file.digest for file in list_source_files(sources, config)]


def source_digest(digests: Sequence[str]) -> str:
    """SHA-256 of the input file; for several files, a hash of their names and digests."""
    return digests[0].split()[-1] if len(digests) == 1 else store.key_of(digests)


def write_chunks(
    sources: Sequence[OpenedSource],
    config: IngestConfig,
    digests: Sequence[str],
    writer: store.EntryWriter,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> IngestRef:
    """Write the valid movies as one parquet file per chunk, and the quarantine.

    `digests` are those of `digests_of`. `on_rows` is called with the number of rows of every chunk.

    Raises:
        UserError: no row is valid, or too many are invalid.
    """
    name = source_label([path for opened in sources for path in opened.source.files])
    joined = load_joined_files(config.joined_files, config.columns)
    spellings: dict[str, str] = {}
    results = _read_sources(sources, config, names_by_column(joined), spellings)
    counts, chunks = _write_results(results, writer, on_rows)
    counts.require_usable(name, config.max_quarantined_share)
    return IngestRef(
        source=name,
        digest=source_digest(digests),
        files=tuple(digests),
        chunks=tuple(chunks),
        quarantine=writer.file_ref(QuarantineRef, "quarantine.parquet", counts.quarantined),
        rows=counts.rows,
        kept=counts.kept,
        unlabelled=counts.unlabelled,
        undated=counts.undated if have_dates(sources) else 0,
        formats=_formats(sources),
        merged_genres=merged_names(spellings),
        unreadable_keywords=joined["keywords"].unreadable,
        unreadable_credits=joined["credits"].unreadable,
        reasons=dict(counts.reasons.most_common()),
    )


def _write_results(
    results: Iterable[tuple[str, ChunkResult]],
    writer: store.EntryWriter,
    on_rows: Callable[[int], None],
) -> tuple[RowCounts, list[MoviesRef]]:
    """Write the movies and the quarantine of all chunks; returns row counts and references."""
    counts, chunks = RowCounts(), list[MoviesRef]()
    with pq.ParquetWriter(writer.folder / "quarantine.parquet", QUARANTINE) as quarantine:
        for source_name, result in results:
            counts.add(result)
            on_rows(result.rows)
            quarantine.write_table(result.quarantine)
            if result.movies.num_rows:
                file = f"{source_name}-{len(chunks):05d}.parquet"
                chunks.append(writer.table_ref(MoviesRef, file, result.movies))
    return counts, chunks


def _read_sources(
    sources: Sequence[OpenedSource],
    config: IngestConfig,
    joined: Mapping[str, NamesById],
    spellings: dict[str, str],
) -> Iterator[tuple[str, ChunkResult]]:
    """Chunks of all files, each with the name of its source; fills `spellings`."""
    for opened in sources:
        state = IngestState(opened.source.name, joined, spellings=spellings)
        for result in read_files(opened, config.chunk_rows, state):
            yield opened.source.name, result


def have_dates(sources: Sequence[OpenedSource]) -> bool:
    """Whether a file has a column of release dates."""
    return any("release_date" in file.positions for opened in sources for file in opened.files)


def _formats(sources: Sequence[OpenedSource]) -> dict[str, str]:
    """Formats that are not the usual ones, by the name of their first file."""
    files = [file for opened in sources for file in opened.files if not file.format.is_usual]
    names = {str(file.format): file.name for file in reversed(files)}
    return {name: form for form, name in names.items()}


def merged_names(spellings: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of genres with the spellings that were merged in them."""
    by_name: dict[str, list[str]] = {}
    for spelling, name in spellings.items():
        by_name.setdefault(name, []).append(spelling)
    return {name: sorted(group) for name, group in sorted(by_name.items()) if len(group) > 1}


@stage_task("ingest", **retry_options())
def ingest(
    sources: list[str], config: IngestConfig, required: Sequence[str] = REQUIRED
) -> IngestRef:
    """Read the sources into chunks of valid movies and a quarantine of all other rows."""
    resolved, local_config = resolve_sources(sources, config), localize_joined_files(config)
    files = list_source_files(resolved, local_config)
    digests = [file.digest for file in files]

    def write(writer: store.EntryWriter) -> IngestRef:
        with read_unchanged([file.state for file in files]):
            opened = open_files(resolved, local_config, required)
            return write_chunks(
                opened,
                local_config,
                digests=digests,
                writer=writer,
                on_rows=on_rows,
            )

    with progress_bar("ingest") as on_rows:
        key = [config, digests, sorted(required)]
        ref = store.get_or_create("ingest", key, IngestRef, write)
    _log_counts(ref)
    show_quarantine(ref)
    return ref


def _log_counts(ref: IngestRef) -> None:
    counts = ", ".join(f"{count} {reason}" for reason, count in ref.reasons.items())
    get_run_logger().info(
        "%s: %d rows, %d kept in %d chunks (%d without genres), %d quarantined %s",
        ref.source,
        ref.rows,
        ref.kept,
        len(ref.chunks),
        ref.unlabelled,
        ref.quarantine.rows,
        f"({counts})" if counts else "",
    )
    for name, form in ref.formats.items():
        get_run_logger().info("%s: %s", name, form)
    for name, spellings in ref.merged_genres.items():
        get_run_logger().info("Genre %s: also written %s", name, ", ".join(spellings))
    if ref.undated > MAX_UNDATED_SHARE * ref.kept:
        get_run_logger().warning("%s: %d movies have no readable year", ref.source, ref.undated)
    _warn_of_unreadable_rows("keywords", ref.unreadable_keywords)
    _warn_of_unreadable_rows("credits", ref.unreadable_credits)


def _warn_of_unreadable_rows(kind: str, count: int) -> None:
    if count:
        get_run_logger().warning(
            "%s file: %d rows cannot be read; their movies get no %s from it",
            kind.capitalize(),
            count,
            kind,
        )
