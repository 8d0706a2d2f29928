"""Content-addressed store of stage outputs under the artifacts root: what stages read and write.

Entries are in `entries`, the root and its digests in `artifacts_root`.
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
    file_digest,
    invalidate_cache,
    key_of,
    remote_store,
    require_writable,
    root_setting,
    sha256,
    uri_of,
)
from tasks.core.storage.entries import (
    EntryWriter,
    get_or_create,
    oldest_writer_start,
    prune,
    prune_local,
    upload_entry,
)

__all__ = [
    "EntryWriter",
    "artifacts_root",
    "cache_root",
    "chunks",
    "file_digest",
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
    "root_setting",
    "select_vectors",
    "sha256",
    "upload_entry",
    "uri_of",
    "vectors_table",
    "write_json",
]

R = TypeVar("R", bound=Ref)
ENTRY_PARTS = 3  # of a path: cache, stage, key


def join(refs: Sequence[R]) -> R:
    """One reference to the concatenation of several, in order."""
    paths = tuple(path for ref in refs for path in ref.paths)
    digest = sha256(ref.digest.encode() for ref in refs)
    return type(refs[0])(paths=paths, digest=digest, rows=sum(ref.rows for ref in refs))


def locate(ref: Ref) -> Path:
    """Absolute path of a reference to one file or folder, fetched where it is not here."""
    (path,) = ref.paths
    return _here(path)


def _here(path: str) -> Path:
    """A path of an entry on this machine."""
    entry = "/".join(Path(path).parts[:ENTRY_PARTS])
    copy, folder = remote_store(), artifacts_root() / entry
    if copy and not folder.exists():
        copy.pull(entry, folder)
    return artifacts_root() / path


def read(ref: Ref, columns: Sequence[str] | None = None) -> pa.Table:
    """The table behind a reference, chunks concatenated in order."""
    return pa.concat_tables(chunks(ref, columns))


def chunks(ref: Ref, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The tables behind a reference, one at a time: what a pass over all movies reads."""
    names = list(columns) if columns is not None else None
    return (_read_table(_here(path), names) for path in ref.paths)


def _read_table(file: Path, columns: list[str] | None) -> pa.Table:
    try:
        # Reading ahead is for object stores: on a disk it only holds more memory.
        return pq.read_table(file, columns=columns, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{file} was damaged or deleted while it was in use: run again, it is made anew."
        ) from error


def read_json(path: Path) -> Any:
    """Content of a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False))


def vectors_table(ids: pa.ChunkedArray, vectors: NDArray[np.float32]) -> pa.Table:
    """Table of `id` and `embedding` (fixed-size list of float32) from an array (n, size)."""
    flat = pa.array(vectors.ravel(), pa.float32())
    return pa.table(
        {"id": ids, "embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    )


def matrix(table: pa.Table) -> NDArray[np.float32]:
    """Embeddings of a `vectors_table` as an array (n, size)."""
    flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    found: NDArray[np.float32] = flat.reshape(table.num_rows, -1)
    return found


def select_vectors(vectors: VectorsRef, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Embeddings (n_chosen, size) of the documents that `chosen` marks, read a chunk at a time."""
    parts, first = list[NDArray[np.float32]](), 0
    for table in chunks(vectors, ["embedding"]):
        parts.append(matrix(table)[chosen[first : first + table.num_rows]])
        first += table.num_rows
    return np.concatenate(parts)


def read_labels(labels: LabelsRef) -> tuple[NDArray[np.uint8], list[str]]:
    """The stored indicator matrix (n_documents, n_genres) and the names of its columns."""
    folder = locate(labels)
    return np.load(folder / "labels.npy", allow_pickle=False), read_json(folder / "classes.json")
