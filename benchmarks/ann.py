"""Nearest vectors among ten times as many movies: exact search against the approximate index.

    python -m benchmarks.ann path/to/movies_45k.csv

Trains on the file and writes its whitened vectors ten times over, each time with other noise.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat
from lancedb.table import Table

from benchmarks.page import save_results
from benchmarks.recommenders import trained
from tasks.core.storage import store
from tasks.recommend.features.index_transformer import l2_normalize
from tasks.recommend.index import ann_recall
from tasks.recommend.scoring import Array
from tasks.recommend.search import PROBES, VECTORS, nearest_vectors

RESULTS = Path(__file__).with_name("ann.json")
COPIES = 10
NOISE = 0.3  # length of the noise beside a vector's 1
QUERIES = 100


def noisy(content: Array) -> Iterator[pa.RecordBatch]:
    """The vectors ten times over, never the same twice, with fresh ids."""
    random = np.random.default_rng(0)
    for copy in range(COPIES):
        shift = random.normal(size=content.shape, scale=NOISE / content.shape[1] ** 0.5)
        ids = pa.chunked_array([np.arange(len(content)) + copy * len(content)])
        table = store.vectors_table(ids, l2_normalize(content + shift.astype(np.float32)))
        sources = pa.array(["m"] * len(content))
        yield from (
            table.rename_columns(["id", VECTORS]).append_column("source", sources).to_batches()
        )


def milliseconds(table: Table, queries: list[list[float]], exact: bool) -> float:
    """Median time of a search for the ten nearest."""
    spent = []
    for query in queries:
        start = time.perf_counter()
        nearest_vectors(table, query, 10, exact)
        spent.append((time.perf_counter() - start) * 1000)
    return float(np.median(spent))


def measured(content: Array, folder: str) -> dict[str, Any]:
    """Build, search both ways, and compare what was found."""
    first = next(noisy(content))
    reader = pa.RecordBatchReader.from_batches(first.schema, noisy(content))
    table = lancedb.connect(folder).create_table("movies", reader)
    start = time.perf_counter()
    table.create_index(VECTORS, config=IvfFlat(distance_type="cosine"))
    built = time.perf_counter() - start
    drawn = np.random.default_rng(1).choice(len(content), QUERIES, replace=False)
    queries = [content[row].tolist() for row in drawn]
    milliseconds(table, queries[:5], exact=False)
    return {
        "movies": table.count_rows(),
        "build_seconds": built,
        "recall": ann_recall(table, queries),
        "exact_ms": milliseconds(table, queries[:30], exact=True),
        "index_ms": milliseconds(table, queries, exact=False),
    }


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    exact, indexed, built = (result[name] for name in ("exact_ms", "index_ms", "build_seconds"))
    lines = [
        "## Approximate index: `python -m benchmarks.ann FILE`",
        "",
        f"{result['movies']:,} vectors of 300 dimensions, the ten nearest by cosine of {QUERIES}",
        f"queries: IVF_FLAT, {PROBES} partitions probed, against LanceDB's exact search. The index",
        f"takes 1/{exact / indexed:.1f} of the time.",
        "",
        "| search | ms, median | recall@10 |",
        "|---|---|---|",
        f"| exact | {exact:.0f} | 1 |",
        f"| index, built in {built:.0f} s | {indexed:.0f} | {result['recall']:.3f} |",
    ]
    return "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Measure, save the results."""
    with tempfile.TemporaryDirectory() as root:
        content = trained(path, root).catalogue.features.content
        result = measured(content, f"{root}/ann")
    save_results(RESULTS, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
