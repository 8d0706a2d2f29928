"""Chunks of movies -> their documents, as the tasks of a run store them."""

from collections.abc import Sequence

from prefect.logging import disable_run_logger

from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, MoviesRef
from tasks.data.preprocess import TextConfig, preprocess_chunk
from tasks.data.splits import assign_splits


def preprocessed(
    chunks: Sequence[MoviesRef], text: TextConfig, compute: Compute | None = None
) -> list[DocumentsRef]:
    """The documents of every chunk."""
    with disable_run_logger():
        splits = assign_splits.fn(chunks, text).chunks
    return [
        preprocess_chunk.fn(chunk, split, text, compute or Compute())
        for chunk, split in zip(chunks, splits, strict=True)
    ]
