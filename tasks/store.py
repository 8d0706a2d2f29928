"""Content-addressed store of stage outputs under the artifacts root.

An entry is a folder named by the hash of everything that went into it: input digests, config and
the stage's code version. It is written under a temporary name and renamed when complete, so that
an entry exists whole or not at all, whatever kills the writer.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from tasks.contracts import LabelsRef, Ref, VectorsRef

R = TypeVar("R", bound=Ref)
M = TypeVar("M", bound=BaseModel)


def artifacts_root() -> Path:
    """Absolute root of everything a run writes: `RECOMMENDER_ARTIFACTS`, else `artifacts/`."""
    return Path(os.environ.get("RECOMMENDER_ARTIFACTS", "artifacts")).absolute()


def sha256(parts: Iterable[bytes]) -> str:
    """Hexadecimal SHA-256 of the parts, each preceded by its length so that borders count."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return sha256(f"{p.relative_to(path)} {file_digest(p)}".encode() for p in files)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(parts: Sequence[object]) -> str:
    """Hash of a stage's inputs; pydantic models count by their JSON."""
    return sha256(_canonical(part) for part in parts)[:32]


def cache_root() -> Path:
    """Folder of all entries."""
    return artifacts_root() / "cache"


def _generation() -> str:
    file = cache_root() / "generation"
    return file.read_text() if file.exists() else ""


def forget() -> None:
    """Make every entry unreachable: what follows is computed anew, and pruned away in time."""
    cache_root().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cache_root(), delete=False) as file:
        file.write(uuid4().hex)
    Path(file.name).rename(cache_root() / "generation")


def _canonical(part: object) -> bytes:
    value = part.model_dump(mode="json") if isinstance(part, BaseModel) else part
    return json.dumps(value, sort_keys=True).encode()


@dataclass(frozen=True)
class Slot:
    """Where a stage writes its output: files go into `folder`, references point to `final`."""

    folder: Path
    final: Path

    @property
    def work(self) -> Path:
        """A folder for checkpoints: it outlives a killed writer, and the next one finds it."""
        folder = self.final.with_name(f".work-{self.final.name}")
        folder.mkdir(exist_ok=True)
        return folder

    def ref(self, kind: type[R], name: str, rows: int = 0) -> R:
        """Reference to the file or folder `name` that was written into the slot."""
        path = (self.final / name).relative_to(artifacts_root())
        return kind(paths=(str(path),), digest=file_digest(self.folder / name), rows=rows)

    def table(self, kind: type[R], name: str, table: pa.Table) -> R:
        """Write a table as parquet into the slot and refer to it."""
        pq.write_table(table, self.folder / name)
        return self.ref(kind, name, table.num_rows)

    def whole(self, kind: type[R], rows: int = 0) -> R:
        """Reference to the slot as one folder."""
        return self.ref(kind, ".", rows)


def entry(stage: str, key: Sequence[object], kind: type[M], write: Callable[[Slot], M]) -> M:
    """The stored output of `stage` for `key`, written by `write` unless it is there already."""
    final = cache_root() / stage / key_of([*key, _generation()])
    record = final / "ref.json"
    if record.exists():
        os.utime(record)  # when it was used last: what `prune` goes by
        return kind.model_validate_json(record.read_text())
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=final.parent))
    try:
        result = write(Slot(folder, final))
        (folder / "ref.json").write_text(result.model_dump_json())
        _publish(folder, final)
        shutil.rmtree(final.with_name(f".work-{final.name}"), ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return kind.model_validate_json(record.read_text())


def _publish(folder: Path, final: Path) -> None:
    """Rename into place; where another run was first, its entry stands."""
    try:
        folder.rename(final)
    except OSError:
        if not (final / "ref.json").exists():
            raise


def prune(max_bytes: int, unused_since: float) -> int:
    """Delete entries, least recently used first, until `max_bytes` are left; the bytes freed.

    Entries used after `unused_since` (seconds since the epoch) stay whatever they take, and so a
    run never loses its own. What killed writers left behind before then goes first.
    """
    for leftover in cache_root().glob("*/.*"):
        if leftover.stat().st_mtime < unused_since:
            shutil.rmtree(leftover, ignore_errors=True)
    entries = [(record.stat().st_mtime, record.parent) for record in _records()]
    sizes = {folder: _size(folder) for _, folder in entries}
    excess = sum(sizes.values()) - max_bytes
    freed = 0
    for used, folder in sorted(entries):
        if freed >= excess or used >= unused_since:
            break
        doomed = folder.with_name(f".deleting-{folder.name}")
        folder.rename(doomed)  # first out of sight, so that no one reads a half-deleted entry
        shutil.rmtree(doomed)
        freed += sizes[folder]
    return freed


def _records() -> Iterator[Path]:
    return cache_root().glob("*/[!.]*/ref.json")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def join(refs: Sequence[R]) -> R:
    """One reference to the concatenation of several, in order."""
    paths = tuple(path for ref in refs for path in ref.paths)
    digest = sha256(ref.digest.encode() for ref in refs)
    return type(refs[0])(paths=paths, digest=digest, rows=sum(ref.rows for ref in refs))


def locate(ref: Ref) -> Path:
    """Absolute path of a reference to one file or folder."""
    (path,) = ref.paths
    return artifacts_root() / path


def read(ref: Ref, columns: Sequence[str] | None = None) -> pa.Table:
    """The table behind a reference, chunks concatenated in order."""
    return pa.concat_tables(chunks(ref, columns))


def chunks(ref: Ref, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The tables behind a reference, one at a time: what a pass over all movies reads."""
    names = list(columns) if columns is not None else None
    # Reading ahead is for object stores: on a disk it only holds more memory.
    read_one = partial(pq.read_table, columns=names, pre_buffer=False)
    return (read_one(artifacts_root() / path) for path in ref.paths)


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


def chosen_vectors(vectors: VectorsRef, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
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
