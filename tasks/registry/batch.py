"""Movies of a published version -> a table of recommendations for each of them."""

from collections.abc import Sequence

import pyarrow as pa
from prefect import unmapped

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import IndexRef, ListsRef
from tasks.core.orchestration.progress import gather
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import BLOCK, recommender_scorer
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import get_version

MIN_CHUNKS_FOR_POOL = 10
CHUNK_ROWS = 1000
COLUMNS = ("source", "id", "title", "rank", "like_source", "like_id", "like_title", "score")


def lists_table(
    catalogue: Catalogue, rows: Sequence[int], config: RankConfig, limit: int
) -> pa.Table:
    """One row per recommendation (`COLUMNS`) for the movies at catalogue positions `rows`.

    `source`, `id` and `title` identify the query movie, `like_…` the recommended one; `rank` starts
    at 1.
    """
    scorer = recommender_scorer(catalogue, config)
    columns = [catalogue.movies[name].to_pylist() for name in ("source", "id", "title")]
    movies = list(zip(*columns, strict=True))
    recommendations = []
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        for row, scores in zip(block, scorer(block), strict=True):
            hits = catalogue.top_rows(scores, [row], limit, config.diversity)
            for rank, hit in enumerate(hits, 1):
                values = (*movies[row], rank, *movies[hit], float(scores[hit]))
                recommendations.append(dict(zip(COLUMNS, values, strict=True)))
    return pa.Table.from_pylist(recommendations)


def _rank_lists(
    index: IndexRef, rows: list[int], config: RankConfig, limit: int, writer: store.EntryWriter
) -> ListsRef:
    table = lists_table(get_version(index).catalogue, rows, config, limit)
    return writer.table_ref(ListsRef, f"lists-{rows[0]:07d}.parquet", table)


@stage_task("rank-lists-chunk", "rank-lists-{rows[0]}")
def rank_lists_chunk(
    rows: list[int], index: IndexRef, config: RankConfig, limit: int, compute: Compute
) -> ListsRef:
    """Recommendations for some movies of a version. Its tag is a key: versions never change."""
    return store.get_or_create(
        "batch",
        [index.uri, index.tag, config, limit, rows],
        ListsRef,
        lambda writer: run_chunk(
            compute, MIN_CHUNKS_FOR_POOL, _rank_lists, index, rows, config, limit, writer
        ),
    )


@stage_task("rank-lists")
def rank_lists(
    rows: list[int], index: IndexRef, config: RankConfig, limit: int, compute: Compute
) -> ListsRef:
    """Recommendations for many movies of a version, each chunk in a task of its own."""
    lists = rank_lists_chunk.map(
        row_chunks(rows), unmapped(index), unmapped(config), unmapped(limit), unmapped(compute)
    )
    return store.join(gather("lists", lists, len(rows) * limit))


def row_chunks(rows: Sequence[int]) -> list[list[int]]:
    """Rows in groups of at most `CHUNK_ROWS`."""
    return [list(rows[first : first + CHUNK_ROWS]) for first in range(0, len(rows), CHUNK_ROWS)]
