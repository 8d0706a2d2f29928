"""Index rows -> a published version: a validated LanceDB table that never changes."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger
from pydantic import Field

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import IndexRef, RowsRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.recommend.search import (
    VECTORS,
    fuzzy_titles,
    has_ann,
    movie_keys,
    nearest_vectors,
    sql_literal,
)

if TYPE_CHECKING:
    from lancedb.table import Table

SMOKE_QUERIES = 20
BATCH_ROWS = 1000
MAX_TABLES = 100_000  # LanceDB lists one page of tables unless it is given a limit
#: Title search by three-letter sequences matches `Vertcal Limt` and `Amelie`, unlike whole words.
NGRAMS: dict[str, Any] = {
    "base_tokenizer": "ngram",
    "ngram_min_length": 3,
    "ngram_max_length": 3,
    "stem": False,
    "remove_stop_words": False,
}
Vectors = NDArray[np.float32]


class IndexConfig(StrictConfig):
    """When an approximate vector index is built, and how good it must be."""

    ann_rows: int = Field(
        200_000,
        ge=256,
        description="Minimum number of movies for building an approximate vector index (IVF_FLAT)",
    )
    min_recall: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Minimum recall@10 of the approximate vector index against exact search; "
        "below it the version is not published",
    )


def lancedb_uri() -> str:
    """Location of all versions: `lancedb/` under the artifacts root."""
    return store.uri_of("lancedb")


class CheckedWriter:
    """Validates tables while they are written, counts their rows and samples their vectors."""

    def __init__(self) -> None:
        self.rows, self.samples = 0, list[tuple[str, str, list[float]]]()

    def batches(self, tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
        """The rows of all tables, read one table at a time; empty tables are skipped.

        Raises:
            ValueError: a vector is not finite or zero.
        """
        for table in filter(len, tables):
            validate_vector_column(table["content"])
            self.rows += table.num_rows
            if len(self.samples) < SMOKE_QUERIES:
                ends = (table.slice(row, 1) for row in (0, table.num_rows - 1))
                self.samples += [self._sample(row) for row in ends]
            yield from table.to_batches()

    def _sample(self, row: pa.Table) -> tuple[str, str, list[float]]:
        return row["source"][0].as_py(), row["id"][0].as_py(), row["content"][0].as_py()


def validate_vector_column(column: pa.ChunkedArray) -> None:
    """Raises ValueError if a vector is not finite or is zero: its cosine is undefined."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    norms = np.linalg.norm(flat.reshape(len(column), -1), axis=1)
    invalid = int(np.sum(~np.isfinite(norms) | (norms < 0.5)))
    if invalid:
        raise ValueError(f"{invalid} of {len(column)} vectors are zero or not finite")


def peek_first(tables: Iterable[pa.Table]) -> tuple[pa.Table, Iterator[pa.Table]]:
    """The first table, and an iterator of all tables including it."""
    iterator = iter(tables)
    first = next(iterator)
    return first, chain([first], iterator)


def publish_version(
    uri: str, tables: Iterable[pa.Table], tag: str, config: IndexConfig | None = None
) -> IndexRef:
    """Write index rows as a new version, a table named `tag`, and validate it.

    Raises:
        ValueError: the version already exists and stays as it is; or the new table differs from
            the rows, or its vector index misses too much, and the table is dropped.
    """
    import lancedb  # imported late because it is slow and training alone does not need it

    database, writer = lancedb.connect(uri), CheckedWriter()
    if tag in version_tags(uri):
        raise ValueError(f"the version {tag} already exists in {uri}")
    first, tables = peek_first(tables)
    reader = pa.RecordBatchReader.from_batches(first.schema, writer.batches(tables))
    try:
        table = database.create_table(tag, reader)
        recall = _create_indices(table, writer, config or IndexConfig())
    except BaseException:
        database.drop_table(tag, ignore_missing=True)
        raise
    return IndexRef(uri=uri, tag=tag, rows=writer.rows, recall=recall)


def _create_indices(table: "Table", written: CheckedWriter, config: IndexConfig) -> float:
    """Create the indices of a table and validate it; the recall of its vector index.

    Raises:
        ValueError: the table differs from the rows written, or the recall is too low.
    """
    from lancedb.index import FTS, BTree, IvfFlat

    for column in ("id", "title_key"):
        table.create_index(column, config=BTree())
    table.create_index("title", config=FTS(**NGRAMS))
    if written.rows >= config.ann_rows:
        table.create_index(VECTORS, config=IvfFlat(distance_type="cosine"))
    check_table(table, written)
    recall = ann_recall(table, [vector for *_, vector in written.samples])
    if recall < config.min_recall:
        raise ValueError(
            f"recall@10 of the vector index is {recall:.2f}, less than {config.min_recall}"
        )
    return recall


def version_tags(uri: str) -> set[str]:
    """Tags of all versions, including incomplete ones."""
    import lancedb

    return set(lancedb.connect(uri).list_tables(limit=MAX_TABLES).tables)


def drop_versions(uri: str, tags: Iterable[str]) -> None:
    """Delete versions and their files."""
    import lancedb

    database = lancedb.connect(uri)
    for tag in tags:
        database.drop_table(tag)


def check_table(table: "Table", written: CheckedWriter) -> None:
    """Raises ValueError if the row count or a sampled row differs from what was written."""
    if table.count_rows() != written.rows:
        raise ValueError(f"{table.count_rows()} rows in the index, {written.rows} written")
    for source, movie_id, vector in written.samples:
        condition = f"id = {sql_literal(movie_id)} AND source = {sql_literal(source)}"
        rows = table.search().where(condition).select(["title", "content"]).limit(2).to_list()
        if len(rows) != 1 or not np.allclose(rows[0]["content"], vector, atol=1e-6):
            raise ValueError(f"movie {movie_id} of {source} differs in the index from its input")
        fuzzy_titles(table, rows[0]["title"], limit=1)


def ann_recall(table: "Table", queries: list[list[float]], k: int = 10) -> float:
    """Share of the `k` nearest rows by cosine that the vector index returns; 1 without an index."""
    if not has_ann(table):
        return 1.0
    recalls = []
    for query in queries:
        exact = set(movie_keys(nearest_vectors(table, query, k, exact=True)))
        approximate = set(movie_keys(nearest_vectors(table, query, k)))
        recalls.append(len(exact & approximate) / len(exact))
    return float(np.mean(recalls))


def stored_batches(rows: RowsRef) -> Iterator[pa.Table]:
    """Stored index rows in tables of up to `BATCH_ROWS` rows."""
    with pq.ParquetFile(store.locate(rows)) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _build(rows: RowsRef, config: IndexConfig, tag: str) -> IndexRef:
    return publish_version(lancedb_uri(), stored_batches(rows), tag, config)


@stage_task("build-index")
def build_index(rows: RowsRef, config: IndexConfig, tag: str, compute: Compute) -> IndexRef:
    """Publish index rows as a validated version named `tag`."""
    index = run_stage(compute, _build, rows, config, tag)
    get_run_logger().info("%d movies in version %s", index.rows, index.tag)
    return index
