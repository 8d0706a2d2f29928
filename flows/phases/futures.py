"""Futures as arguments of tasks, and the tasks that join the chunks of a stage."""

from collections.abc import Sequence
from typing import TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from tasks.core.contracts import DocumentsRef, ListsRef, RowsRef, VectorsRef
from tasks.core.storage.store import join

R = TypeVar("R")
Chunks = Sequence[PrefectFuture[R]]


def as_input(future: PrefectFuture[R]) -> R:
    """The future, typed as the value that Prefect passes to a task in its place."""
    return cast(R, future)


def as_inputs(futures: Sequence[PrefectFuture[R]]) -> list[R]:
    """Several futures, typed as the values that Prefect passes to a task in their place."""
    return cast(list[R], list(futures))


@task(name="join-documents", cache_policy=NO_CACHE)
def join_documents(chunks: list[DocumentsRef]) -> DocumentsRef:
    """One reference to the documents of all chunks."""
    return join(chunks)


@task(name="join-vectors", cache_policy=NO_CACHE)
def join_vectors(chunks: list[VectorsRef]) -> VectorsRef:
    """One reference to the vectors of all chunks."""
    return join(chunks)


@task(name="join-rows", cache_policy=NO_CACHE)
def join_rows(chunks: list[RowsRef]) -> RowsRef:
    """One reference to the index rows of all chunks."""
    return join(chunks)


@task(name="join-lists", cache_policy=NO_CACHE)
def join_lists(chunks: list[ListsRef]) -> ListsRef:
    """One reference to the recommendation lists of all chunks."""
    return join(chunks)
