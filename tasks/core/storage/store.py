"""Content-addressed store of stage outputs: the functions with which stages read and write.

Entries are implemented in `entries` and `pruning`, the root and its digests in `artifacts_root`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.contracts import LabelsRef, Ref, UserError, VectorsRef
from tasks.core.storage.artifacts_root import (
    artifacts_root,
    cache_root,
    create_root_id,
    file_digest,
    invalidate_cache,
    key_of,
    remote_store,
    require_writable,
    root_id,
    root_setting,
    sha256,
    uri_of,
)
from tasks.core.storage.entries import EntryWriter, get_or_create, upload_entry
from tasks.core.storage.pruning import (
    GRACE_SECONDS,
    free_disk,
    oldest_writer_start,
    prune,
    prune_local,
)
from tasks.core.storage.remote import ENTRY_DEPTH

__all__ = [
    "GRACE_SECONDS",
    "EntryWriter",
    "artifacts_root",
    "cache_root",
    "chunks",
    "create_root_id",
    "file_digest",
    "free_disk",
    "get_or_create",
    "invalidate_cache",
    "join",
    "key_of",
    "locate",
    "matrix",
    "oldest_writer_start",
    "prune",
    "prune_local",
    "read",
    "read_json",
    "read_labels",
    "remote_store",
    "require_writable",
    "root_id",
    "root_setting",
    "select_vectors",
    "sha256",
    "upload_entry",
    "uri_of",
    "vectors_table",
    "write_json",
]

R = TypeVar("R", bound=Ref)


def join(refs: Sequence[R]) -> R:
    """One reference to the concatenation of several outputs, in order."""
    paths = tuple(path for ref in refs for path in ref.paths)
    digest = sha256(ref.digest.encode() for ref in refs)
    rows = sum(ref.rows for ref in refs)
    return type(refs[0])(paths=paths, digest=digest, rows=rows, parts=tuple(refs))


def locate(ref: Ref) -> Path:
    """Absolute local path of the file or folder of a reference, downloaded if it is missing."""
    (path,) = ref.paths
    return _local_path(path)


def _local_path(path: str) -> Path:
    """Absolute path of a file of an entry, which is downloaded if it is missing."""
    entry = "/".join(Path(path).parts[:ENTRY_DEPTH])
    remote_root, folder = remote_store(), artifacts_root() / entry
    if remote_root and not folder.exists():
        remote_root.pull(entry, folder)
    return artifacts_root() / path


def read(ref: Ref, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the table of a reference; chunks are concatenated in order."""
    return pa.concat_tables(chunks(ref, columns))


def chunks(ref: Ref, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read the tables of a reference one at a time, so that only one chunk is in memory."""
    names = list(columns) if columns is not None else None
    return (_read_table(_local_path(path), names) for path in ref.paths)


def _read_table(file: Path, columns: list[str] | None) -> pa.Table:
    try:
        # Reading ahead helps on object stores; on a disk it only needs more memory.
        return pq.read_table(file, columns=columns, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{file} was damaged or deleted while it was in use: run again, it is computed again."
        ) from error


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False))


def vectors_table(ids: pa.ChunkedArray, vectors: NDArray[np.float32]) -> pa.Table:
    """Table of `id` and `embedding` (fixed-size list of float32) from an array (n_rows, size)."""
    flat = pa.array(vectors.ravel(), pa.float32())
    return pa.table(
        {"id": ids, "embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    )


def matrix(table: pa.Table) -> NDArray[np.float32]:
    """Embeddings of a `vectors_table` as an array (n_rows, size)."""
    flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    embeddings: NDArray[np.float32] = flat.reshape(table.num_rows, -1)
    return embeddings


def select_vectors(vectors: VectorsRef, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Embeddings (n_selected, size) of the documents where `mask` (n_documents,) is True.

    Reads one chunk at a time.
    """
    selected, first_row = list[NDArray[np.float32]](), 0
    for table in chunks(vectors, ["embedding"]):
        end_row = first_row + table.num_rows
        selected.append(matrix(table)[mask[first_row:end_row]])
        first_row = end_row
    return np.concatenate(selected)


def read_labels(labels: LabelsRef) -> tuple[NDArray[np.uint8], list[str]]:
    """The indicator matrix (n_documents, n_genres) and the genre names of its columns."""
    folder = locate(labels)
    return np.load(folder / "labels.npy", allow_pickle=False), read_json(folder / "classes.json")
