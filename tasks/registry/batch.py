"""Some movies of a published version -> the lists of all of them, as a table."""

from collections.abc import Sequence

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import IndexRef, ListsRef
from tasks.core.storage import store
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import BLOCK, recommender_scorer
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import get_version

VERSION = 1
PROCESSES_PAY_FROM = 10  # chunks
COLUMNS = ("source", "id", "title", "rank", "like_source", "like_id", "like_title", "score")


def lists_table(
    catalogue: Catalogue, rows: Sequence[int], config: RankConfig, limit: int
) -> pa.Table:
    """A row a recommendation: the movie asked about, the rank from 1, and the movie like it."""
    scorer, found = recommender_scorer(catalogue, config), []
    names = [catalogue.movies[name].to_pylist() for name in ("source", "id", "title")]
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        for row, score in zip(block, scorer(block), strict=True):
            asked = [values[row] for values in names]
            for rank, hit in enumerate(
                catalogue.top_rows(score, [row], limit, config.diversity), 1
            ):
                like = [values[hit] for values in names]
                found.append(
                    dict(zip(COLUMNS, [*asked, rank, *like, float(score[hit])], strict=True))
                )
    return pa.Table.from_pylist(found)


def _lists(
    index: IndexRef, rows: list[int], config: RankConfig, limit: int, writer: store.EntryWriter
) -> ListsRef:
    table = lists_table(get_version(index).catalogue, rows, config, limit)
    return writer.table_ref(ListsRef, f"lists-{rows[0]:07d}.parquet", table)


@task(name="rank-lists", task_run_name="rank-lists-{rows[0]}", cache_policy=NO_CACHE)
def rank_lists(
    rows: list[int], index: IndexRef, config: RankConfig, limit: int, compute: Compute
) -> ListsRef:
    """Lists of some movies of one version, which never changes: its tag is part of the key."""
    return store.get_or_create(
        "batch",
        [VERSION, index.uri, index.tag, config, limit, rows],
        ListsRef,
        lambda writer: run_chunk(
            compute, PROCESSES_PAY_FROM, _lists, index, rows, config, limit, writer
        ),
    )
