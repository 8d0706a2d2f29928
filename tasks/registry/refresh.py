"""New movies and a published version -> the next version of the index, without training."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from prefect import get_run_logger, unmapped

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import (
    MOVIES,
    DocumentsRef,
    IndexRef,
    MoviesRef,
    RefreshRef,
    RowsRef,
    UserError,
)
from tasks.core.orchestration.progress import gather
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.recommend.features.index_features import MOVIE_COLUMNS, REFRESHED
from tasks.recommend.index import IndexConfig, publish_version, stored_batches
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.search import open_version, read_movies
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion

CARRIED = "-refreshed"  # suffix of an index tag: movies were carried over into a new training
MIN_CHUNKS_FOR_POOL = 10
EMPTY: tuple[object, ...] = (None, [])
#: Columns of a movie that a file of new movies may lack.
KEPT_COLUMNS = [name for name in MOVIE_COLUMNS if name not in ("source", "id", "title", "overview")]
DROPPED = "%d movies of refreshes are of sources that this training lacks: a promotion drops them"


def with_known_values(movies: pa.Table, known: pa.Table) -> pa.Table:
    """New movies (`MOVIES`); what they leave empty has the value of the known movie with their id.

    A file of corrected titles and texts has no genres, years or people, and must not delete them.
    """
    same = known.filter(pc.is_in(known["id"], movies["id"].cast(known["id"].type)))
    rows = {row["id"]: row for row in same.select(["id", *KEPT_COLUMNS]).to_pylist()}
    ids = movies["id"].to_pylist()
    for name in KEPT_COLUMNS:
        position, values = movies.column_names.index(name), movies[name].to_pylist()
        filled = [
            rows.get(movie_id, {}).get(name, value) if value in EMPTY else value
            for movie_id, value in zip(ids, values, strict=True)
        ]
        movies = movies.set_column(position, name, pa.array(filled, MOVIES.field(name).type))
    return movies


@lru_cache(maxsize=1)
def known_movies(index: IndexRef, source: str) -> pa.Table:
    """The movies of a source in a version: `id` and the `KEPT_COLUMNS`."""
    movies = read_movies(index, ["source", "id", *KEPT_COLUMNS])
    return movies.filter(pc.equal(movies["source"], source))


def new_rows(movies: pa.Table, model: TextModel, source: str) -> pa.Table:
    """Index rows of new movies (`MOVIES`), with the name of their source replaced by `source`."""
    names = pa.array([source] * movies.num_rows, pa.string())
    renamed = movies.set_column(movies.column_names.index("source"), "source", names)
    return mark_refreshed(model.to_index_rows(renamed))


def mark_refreshed(rows: pa.Table) -> pa.Table:
    """The same index rows, marked as added by a refresh."""
    column = rows.column_names.index(REFRESHED)
    return rows.set_column(column, REFRESHED, pa.array([True] * rows.num_rows))


def drop_movies(old: pa.Table, source: str, ids: pa.ChunkedArray) -> pa.Table:
    """Index rows without the movies of a source that have one of the ids."""
    dropped = pc.and_(pc.equal(old["source"], source), pc.is_in(old["id"], ids))
    return old.filter(pc.invert(dropped))


def target_source(old: pa.Table, wanted: str | None) -> str:
    """The source that new movies belong to: the wanted one or, without, the only one.

    Raises:
        UserError: the index has no source of this name, or several and none is wanted.
    """
    sources = sorted(pc.unique(old["source"]).to_pylist())
    source = sources[0] if wanted is None and len(sources) == 1 else wanted
    if source not in sources:
        raise UserError(
            f"Name the source that the new movies belong to with --into: {', '.join(sources)}."
        )
    return str(source)


def publish_merged(
    index: IndexRef, rows: RowsRef, source: str, tag: str, config: IndexConfig
) -> RefreshRef:
    """Publish a version with new rows; they replace the old rows of the same source and id.

    Raises:
        ValueError: the published row count is wrong; the version is then not registered.
    """
    old = open_version(index.uri, index.tag).to_arrow()
    new = store.read(rows)
    remaining = drop_movies(old, source, new["id"])
    updated = old.num_rows - remaining.num_rows
    published = publish_rows(
        uri=index.uri,
        rows=remaining,
        added=stored_batches(rows),
        tag=tag,
        config=config,
    )
    expected = remaining.num_rows + new.num_rows
    if published.rows != expected:
        raise ValueError(f"{published.rows} rows were published instead of {expected}")
    return RefreshRef(index=published, added=new.num_rows - updated, updated=updated)


def publish_rows(
    uri: str, rows: pa.Table, added: Iterable[pa.Table], tag: str, config: IndexConfig
) -> IndexRef:
    """Publish a version of index rows and added rows, cast to the schema of the former."""
    batches = (batch.select(rows.column_names).cast(rows.schema) for batch in added)
    return publish_version(uri, chain([rows], batches), tag, config)


class RefreshedMovies(NamedTuple):
    """Movies that refreshes added to a champion and that a new training does not have.

    `carried` movies are of the training's sources; `dropped` is the number of all others.
    """

    carried: pa.Table
    dropped: int


def refreshed_movies(champion: Champion, documents: DocumentsRef) -> RefreshedMovies:
    """What a training on these documents lacks of what refreshes added to the champion."""
    movies = read_movies(champion.index, MOVIE_COLUMNS, where=f"{REFRESHED} = true")
    trained = {
        pair for chunk in store.chunks(documents, ["source", "id"]) for pair in _source_ids(chunk)
    }
    sources = {source for source, _ in trained}
    is_missing = [pair not in trained for pair in _source_ids(movies)]
    missing = movies.filter(pa.array(is_missing, pa.bool_()))
    is_carried = [source in sources for source in missing["source"].to_pylist()]
    carried = missing.filter(pa.array(is_carried, pa.bool_()))
    return RefreshedMovies(carried, dropped=missing.num_rows - carried.num_rows)


def count_dropped(champion: Champion, documents: DocumentsRef) -> int:
    """Number of movies of the champion's refreshes that a promotion would lose."""
    dropped = refreshed_movies(champion, documents).dropped
    if dropped:
        get_run_logger().warning(DROPPED, dropped)
    return dropped


def _source_ids(movies: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(movies["source"].to_pylist(), movies["id"].to_pylist(), strict=True)


@stage_task("carry-over")
def carry_over(
    index: IndexRef,
    documents: DocumentsRef,
    champion: Champion,
    folders: ModelFolders,
    config: IndexConfig,
) -> IndexRef:
    """The index of a new training with the movies that refreshes added to the champion.

    Without this, a promotion would lose them until the source has them. The index is unchanged if
    there are none.
    """
    movies = refreshed_movies(champion, documents).carried
    if not movies.num_rows:
        return index
    added = mark_refreshed(TextModel(folders).to_index_rows(movies))
    get_run_logger().info("%d movies of earlier refreshes carried over", added.num_rows)
    return publish_rows(
        uri=index.uri,
        rows=open_version(index.uri, index.tag).to_arrow(),
        added=[added],
        tag=f"{index.tag}{CARRIED}",
        config=config,
    )


@lru_cache(maxsize=1)
def _text_model(folders: ModelFolders) -> TextModel:
    return TextModel(folders)


def _index_new_movies(
    movies: MoviesRef,
    folders: ModelFolders,
    source: str,
    index: IndexRef,
    writer: store.EntryWriter,
) -> RowsRef:
    complete = with_known_values(store.read(movies), known_movies(index, source))
    table = new_rows(complete, _text_model(folders), source)
    return writer.table_ref(RowsRef, f"{movies.name}.parquet", table)


@stage_task("index-new-movies-chunk", "index-new-movies-{movies.name}")
def index_new_movies_chunk(
    movies: MoviesRef, folders: ModelFolders, source: str, index: IndexRef, compute: Compute
) -> RowsRef:
    """Embed one chunk of new movies, predict their genres and compute their index rows.

    What the chunk leaves empty of a movie of the index `index` keeps its value there.
    """
    return store.get_or_create(
        "new-rows",
        [movies.digest, folders, source, index],
        RowsRef,
        lambda writer: run_chunk(
            compute, MIN_CHUNKS_FOR_POOL, _index_new_movies, movies, folders, source, index, writer
        ),
    )


@stage_task("index-new-movies")
def index_new_movies(
    chunks: Sequence[MoviesRef],
    folders: ModelFolders,
    source: str,
    index: IndexRef,
    compute: Compute,
) -> RowsRef:
    """Index rows of all new movies, each chunk in a task of its own."""
    rows = index_new_movies_chunk.map(
        chunks, unmapped(folders), unmapped(source), unmapped(index), unmapped(compute)
    )
    total = sum(chunk.rows for chunk in chunks)
    return store.join(gather("index-new-movies", rows, total))


@stage_task("merge")
def merge(index: IndexRef, rows: RowsRef, source: str, tag: str, config: IndexConfig) -> RefreshRef:
    """Publish the next version atomically; earlier versions stay readable.

    `config` is the index configuration of the base version `index`.
    """
    refreshed = publish_merged(index, rows, source, tag, config)
    get_run_logger().info(
        "%d movies added, %d updated, %d in version %s",
        refreshed.added,
        refreshed.updated,
        refreshed.index.rows,
        refreshed.index.tag,
    )
    return refreshed


def index_source(index: IndexRef, wanted: str | None) -> str:
    """`target_source` of a published version."""
    return target_source(read_movies(index, ["source"]), wanted)
