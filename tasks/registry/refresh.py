"""New movies and a published version -> rows of the next version, without training anything."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import (
    DocumentsRef,
    IndexRef,
    MoviesRef,
    RefreshRef,
    RowsRef,
    UserError,
)
from tasks.core.storage import store
from tasks.recommend.index import IndexConfig, publish_version, stored_batches
from tasks.recommend.index_features import MOVIE_COLUMNS, REFRESHED
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.search import open_version
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion

VERSION = 2
CARRIED = "-refreshed"  # after the tag of an index that a new training took movies over into
PROCESSES_PAY_FROM = 10  # chunks


def new_rows(movies: pa.Table, model: TextModel, source: str) -> pa.Table:
    """Rows of the index for movies that no model has seen, under the name of a source."""
    named = pa.array([source] * movies.num_rows, pa.string())
    return mark_refreshed(
        model.to_index_rows(movies.set_column(movies.column_names.index("source"), "source", named))
    )


def mark_refreshed(rows: pa.Table) -> pa.Table:
    """The same rows of the index, marked as those that a refresh added."""
    column = rows.column_names.index(REFRESHED)
    return rows.set_column(column, REFRESHED, pa.array([True] * rows.num_rows))


def drop_movies(old: pa.Table, source: str, ids: pa.ChunkedArray) -> pa.Table:
    """Rows of a version but for those of a source that have one of the ids."""
    replaced = pc.and_(pc.equal(old["source"], source), pc.is_in(old["id"], ids))
    return old.filter(pc.invert(replaced))


def target_source(old: pa.Table, wanted: str | None) -> str:
    """The source whose ids the new movies share: the wanted one, else the only one there is.

    Raises:
        UserError: the index holds several sources, or not the wanted one.
    """
    there = sorted(pc.unique(old["source"]).to_pylist())
    chosen = there[0] if wanted is None and len(there) == 1 else wanted
    if chosen not in there:
        known = ", ".join(there)
        raise UserError(f"Say with --into which source the new movies belong to: {known}.")
    return str(chosen)


def publish_merged(
    index: IndexRef, rows: RowsRef, source: str, tag: str, config: IndexConfig
) -> RefreshRef:
    """Publish a version with the new rows in it, those of known ids in place of the old ones.

    Raises:
        ValueError: the counts do not add up; the version is not registered.
    """
    old = open_version(index.uri, index.tag).to_arrow()
    new = store.read(rows)
    kept = drop_movies(old, source, new["id"])
    updated = old.num_rows - kept.num_rows
    published = publish_rows(index.uri, with_all_columns(kept), stored_batches(rows), tag, config)
    if published.rows != old.num_rows + new.num_rows - updated:
        raise ValueError(f"{published.rows} rows published, not as many as kept and added")
    return RefreshRef(index=published, added=new.num_rows - updated, updated=updated)


def with_all_columns(rows: pa.Table) -> pa.Table:
    """Rows of an index with the columns that an earlier release did not write, empty."""
    blank: dict[str, pa.Array] = {
        REFRESHED: pa.array([False] * rows.num_rows),
        "keywords": pa.array([[]] * rows.num_rows, pa.list_(pa.string())),
    }
    for name, column in blank.items():
        if name not in rows.column_names:
            rows = rows.append_column(name, column)
    return rows


def publish_rows(
    uri: str, kept: pa.Table, added: Iterable[pa.Table], tag: str, config: IndexConfig
) -> IndexRef:
    """Publish a version of rows that an index has and of others."""
    parts = (part.select(kept.column_names).cast(kept.schema) for part in added)
    return publish_version(uri, chain([kept], parts), tag, config)


def refreshed_movies(champion: Champion, documents: DocumentsRef) -> pa.Table | None:
    """Movies (`MOVIE_COLUMNS`) that refreshes added to a champion, that belong to a source of these
    documents, and that are not among them; None where an earlier release published it."""
    table = open_version(champion.index.uri, champion.index.tag)
    if REFRESHED not in table.schema.names:
        return None
    found = table.search().where(f"{REFRESHED} = true").select(MOVIE_COLUMNS)
    movies = found.limit(table.count_rows()).to_arrow()
    known = set[tuple[str, int]]()
    for chunk in store.chunks(documents, ["source", "id"]):
        known.update(zip(*(column.to_pylist() for column in chunk.columns), strict=True))
    sources = {source for source, _ in known}
    named = zip(movies["source"].to_pylist(), movies["id"].to_pylist(), strict=True)
    kept = [pair[0] in sources and pair not in known for pair in named]
    return movies.filter(pa.array(kept, pa.bool_()))


@task(name="carry-over", cache_policy=NO_CACHE)
def carry_over(
    index: IndexRef,
    documents: DocumentsRef,
    champion: Champion | None,
    folders: ModelFolders,
    config: IndexConfig,
) -> IndexRef:
    """A new training's index with the movies that refreshes added to the champion meanwhile.

    They would be lost with its promotion, until the source has them. The same index where there
    are none.
    """
    movies = refreshed_movies(champion, documents) if champion else None
    if movies is None or not movies.num_rows:
        return index
    rows = mark_refreshed(TextModel(folders).to_index_rows(movies))
    kept = open_version(index.uri, index.tag).to_arrow()
    get_run_logger().info("%d movies that were added by refresh are kept", rows.num_rows)
    return publish_rows(index.uri, kept, [rows], f"{index.tag}{CARRIED}", config)


@lru_cache(maxsize=1)
def _model(folders: ModelFolders) -> TextModel:
    return TextModel(folders)


def _described(
    movies: MoviesRef, folders: ModelFolders, source: str, writer: store.EntryWriter
) -> RowsRef:
    table = new_rows(store.read(movies), _model(folders), source)
    return writer.table_ref(RowsRef, f"{movies.name}.parquet", table)


@task(name="describe-new", task_run_name="describe-new-{movies.name}", cache_policy=NO_CACHE)
def index_new_movies(
    movies: MoviesRef, folders: ModelFolders, source: str, compute: Compute
) -> RowsRef:
    """Embed one chunk of new movies, predict their genres, and describe them for the index."""
    return store.get_or_create(
        "new-rows",
        [VERSION, movies.digest, folders, source],
        RowsRef,
        lambda writer: run_chunk(
            compute, PROCESSES_PAY_FROM, _described, movies, folders, source, writer
        ),
    )


@task(name="merge", cache_policy=NO_CACHE)
def merge(index: IndexRef, rows: RowsRef, source: str, tag: str, config: IndexConfig) -> RefreshRef:
    """Publish the next version, whole or not at all; old ones stay readable.

    `config` is that of the version it is based on.
    """
    ref = publish_merged(index, rows, source, tag, config)
    get_run_logger().info(
        "%d movies added, %d updated, %d in version %s",
        *(ref.added, ref.updated, ref.index.rows, ref.index.tag),
    )
    return ref


def index_source(index: IndexRef, wanted: str | None) -> str:
    """`source_into` of a published version."""
    table = open_version(index.uri, index.tag)
    return target_source(
        table.search().select(["source"]).limit(table.count_rows()).to_arrow(), wanted
    )
