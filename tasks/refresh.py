"""New movies and a published version -> rows of the next version, without training anything."""

from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks import store
from tasks.champion import ModelFolders
from tasks.compute import Compute, run
from tasks.contracts import IndexRef, MoviesRef, RefreshRef, RowsRef, UserError
from tasks.index import batches, publish
from tasks.search import open_version
from tasks.unseen import TextModel

VERSION = 1
PROCESSES_PAY_FROM = 10  # chunks


def new_rows(movies: pa.Table, model: TextModel, source: str) -> pa.Table:
    """Rows of the index for movies that no model has seen, under the name of a source."""
    named = pa.array([source] * movies.num_rows, pa.string())
    return model.described(movies.set_column(movies.column_names.index("source"), "source", named))


def without(old: pa.Table, source: str, ids: pa.ChunkedArray) -> pa.Table:
    """Rows of a version but for those of a source that have one of the ids."""
    replaced = pc.and_(pc.equal(old["source"], source), pc.is_in(old["id"], ids))
    return old.filter(pc.invert(replaced))


def source_into(old: pa.Table, wanted: str | None) -> str:
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


def merged(index: IndexRef, rows: RowsRef, source: str, tag: str) -> RefreshRef:
    """Publish a version with the new rows in it, those of known ids in place of the old ones.

    Raises:
        ValueError: the counts do not add up; the version is not registered.
    """
    old = open_version(index.uri, index.tag).to_arrow()
    new = store.read(rows)
    kept = without(old, source, new["id"])
    updated = old.num_rows - kept.num_rows
    parts = [kept, *(part.select(old.column_names).cast(old.schema) for part in batches(rows))]
    published = publish(index.uri, parts, tag)
    if published.rows != old.num_rows + new.num_rows - updated:
        raise ValueError(f"{published.rows} rows published, not as many as kept and added")
    return RefreshRef(index=published, added=new.num_rows - updated, updated=updated)


@lru_cache(maxsize=1)
def _model(folders: ModelFolders) -> TextModel:
    return TextModel(folders)


def _described(movies: MoviesRef, folders: ModelFolders, source: str, slot: store.Slot) -> RowsRef:
    table = new_rows(store.read(movies), _model(folders), source)
    return slot.table(RowsRef, f"{movies.name}.parquet", table)


@task(name="describe-new", task_run_name="describe-new-{movies.name}", cache_policy=NO_CACHE)
def describe_new(
    movies: MoviesRef, folders: ModelFolders, source: str, compute: Compute
) -> RowsRef:
    """Embed one chunk of new movies, predict their genres, and describe them for the index."""
    return store.entry(
        "new-rows",
        [VERSION, movies.digest, folders, source],
        RowsRef,
        lambda slot: run(compute, PROCESSES_PAY_FROM, _described, movies, folders, source, slot),
    )


@task(name="merge", cache_policy=NO_CACHE)
def merge(index: IndexRef, rows: RowsRef, source: str, tag: str) -> RefreshRef:
    """Publish the next version, whole or not at all; old ones stay readable."""
    ref = merged(index, rows, source, tag)
    get_run_logger().info(
        "%d movies added, %d updated, %d in version %s",
        *(ref.added, ref.updated, ref.index.rows, ref.index.tag),
    )
    return ref


def own_source(index: IndexRef, wanted: str | None) -> str:
    """`source_into` of a published version."""
    table = open_version(index.uri, index.tag)
    return source_into(
        table.search().select(["source"]).limit(table.count_rows()).to_arrow(), wanted
    )
