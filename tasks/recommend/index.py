"""Rows of the index -> a checked version: a LanceDB table that never changes again."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import IndexRef, RowsRef
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.recommend.search import VECTORS, fuzzy_titles, has_ann, nearest_vectors, sql_literal

if TYPE_CHECKING:
    from lancedb.table import Table

SMOKE_QUERIES = 20
BATCH_ROWS = 1000
MANY = 100_000  # tables that are listed: LanceDB would stop after a page
#: Title search by three letters: it finds `Vertcal Limt` and `Amelie`, which whole words do not.
NGRAMS: dict[str, Any] = {
    "base_tokenizer": "ngram",
    "ngram_min_length": 3,
    "ngram_max_length": 3,
    "stem": False,
    "remove_stop_words": False,
}
Vectors = NDArray[np.float32]


class IndexConfig(StrictConfig):
    """When nearest vectors are looked up and not computed."""

    ann_rows: int = Field(
        200_000,
        ge=256,
        description="Movies from which an approximate index (IVF_FLAT) finds the nearest vectors",
    )
    min_recall: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of the ten nearest that it must find, or the version is not published",
    )


def lancedb_uri() -> str:
    """Where the index lies: `lancedb/` under the artifacts root."""
    return store.uri_of("lancedb")


class CheckedWriter:
    """Passes tables on, and remembers how many rows they had and some of their vectors."""

    def __init__(self) -> None:
        self.rows, self.samples = 0, list[tuple[str, int, list[float]]]()

    def through(self, parts: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
        """The same rows; a part is forgotten when it is written, an empty one left out.

        Raises:
            ValueError: a vector is not finite or zero.
        """
        for part in filter(len, parts):
            validate_vector_column(part["content"])
            self.rows += part.num_rows
            if len(self.samples) < SMOKE_QUERIES:
                self.samples += [self._sample(part.slice(row, 1)) for row in (0, part.num_rows - 1)]
            yield from part.to_batches()

    def _sample(self, row: pa.Table) -> tuple[str, int, list[float]]:
        return row["source"][0].as_py(), row["id"][0].as_py(), row["content"][0].as_py()


def validate_vector_column(column: pa.ChunkedArray) -> None:
    """Raises ValueError if a vector is not finite or is zero: cosine has no meaning for it."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    norms = np.linalg.norm(flat.reshape(len(column), -1), axis=1)
    bad = int(np.sum(~np.isfinite(norms) | (norms < 0.5)))
    if bad:
        raise ValueError(f"{bad} of {len(column)} vectors have no direction")


def peek_first(parts: Iterable[pa.Table]) -> tuple[pa.Table, Iterator[pa.Table]]:
    """The first part, and all of them."""
    rest = iter(parts)
    first = next(rest)
    return first, chain([first], rest)


def publish_version(
    uri: str, parts: Iterable[pa.Table], tag: str, config: IndexConfig | None = None
) -> IndexRef:
    """Write the rows as a version, a table of its own named `tag`, and check it.

    Raises:
        ValueError: there is such a version already, which stays as it is; or the new one does not
            hold what was written, or its approximate index finds too little: nothing of it stays.
    """
    import lancedb  # takes a while to load, and training itself does not need it

    database, written = lancedb.connect(uri), CheckedWriter()
    if tag in version_tags(uri):
        raise ValueError(f"the version {tag} already exists in {uri}")
    first, parts = peek_first(parts)
    reader = pa.RecordBatchReader.from_batches(first.schema, written.through(parts))
    try:
        table = database.create_table(tag, reader)
        recall = _indexed(table, written, config or IndexConfig())
    except BaseException:
        database.drop_table(tag, ignore_missing=True)
        raise
    return IndexRef(uri=uri, tag=tag, rows=written.rows, recall=recall)


def _indexed(table: "Table", written: CheckedWriter, config: IndexConfig) -> float:
    """Index a table and check it; the recall of its vector index."""
    from lancedb.index import FTS, BTree, IvfFlat

    for column in ("id", "title_key"):
        table.create_index(column, config=BTree())
    table.create_index("title", config=FTS(**NGRAMS))
    if written.rows >= config.ann_rows:
        table.create_index(VECTORS, config=IvfFlat(distance_type="cosine"))
    check_table(table, written)
    recall = ann_recall(table, [vector for *_, vector in written.samples])
    if recall < config.min_recall:
        raise ValueError(f"the index finds {recall:.2f} of the nearest, not {config.min_recall}")
    return recall


def version_tags(uri: str) -> set[str]:
    """Tags of all versions, unfinished ones too."""
    import lancedb

    return set(lancedb.connect(uri).table_names(limit=MANY))


def drop_versions(uri: str, tags: Iterable[str]) -> None:
    """Remove versions and their files."""
    import lancedb

    database = lancedb.connect(uri)
    for tag in tags:
        database.drop_table(tag)


def check_table(table: "Table", written: CheckedWriter) -> None:
    """Raises ValueError unless rows are as many and smoke queries come out as written."""
    if table.count_rows() != written.rows:
        raise ValueError(f"{table.count_rows()} rows in the index, {written.rows} written")
    for source, movie, vector in written.samples:
        where = f"id = {movie} AND source = {sql_literal(source)}"
        found = table.search().where(where).select(["title", "content"]).limit(2).to_list()
        if len(found) != 1 or not np.allclose(found[0]["content"], vector, atol=1e-6):
            raise ValueError(f"movie {movie} of {source} is not in the index as it was written")
        fuzzy_titles(table, found[0]["title"], limit=1)


def ann_recall(table: "Table", queries: list[list[float]], k: int = 10) -> float:
    """Share of the `k` nearest rows by cosine that the vector index finds; 1 without an index."""
    if not has_ann(table):
        return 1.0
    shares = []
    for query in queries:
        right, found = (_named(nearest_vectors(table, query, k, exact)) for exact in (True, False))
        shares.append(len(right & found) / len(right))
    return float(np.mean(shares))


def _named(hits: pa.Table) -> set[tuple[str, int]]:
    return set(zip(hits["source"].to_pylist(), hits["id"].to_pylist(), strict=True))


def stored_batches(rows: RowsRef) -> Iterator[pa.Table]:
    """Stored rows, some at a time."""
    with pq.ParquetFile(store.locate(rows)) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _build(rows: RowsRef, config: IndexConfig, tag: str) -> IndexRef:
    return publish_version(lancedb_uri(), stored_batches(rows), tag, config)


@task(name="index", cache_policy=NO_CACHE)
def build_index(rows: RowsRef, config: IndexConfig, tag: str, compute: Compute) -> IndexRef:
    """Publish a checked version of the index."""
    ref = run_stage(compute, _build, rows, config, tag)
    get_run_logger().info("%d movies in version %s", ref.rows, ref.tag)
    return ref
