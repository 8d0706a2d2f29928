"""Content-addressed store of stage outputs under the artifacts root.

An entry is a folder named by the hash of everything that went into it: input digests, config and
the stage's code version. It is written under a temporary name and renamed when complete, so that
an entry exists whole or not at all, whatever kills the writer. Where the root is a URL, entries
are copied up when they are complete, and fetched when they are read (`tasks.remote`).
"""

import hashlib
import json
import os
import re
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
from pyarrow.fs import LocalFileSystem
from pydantic import BaseModel

from tasks import remote
from tasks.contracts import LabelsRef, Ref, UserError, VectorsRef
from tasks.redact import redacted
from tasks.remote import RECORD, Copy

R = TypeVar("R", bound=Ref)
M = TypeVar("M", bound=BaseModel)
CACHE = "cache"
GENERATION = f"{CACHE}/generation"
ENTRY_PARTS = 3  # of a path: cache, stage, key


def root_setting() -> str:
    """`RECOMMENDER_ARTIFACTS`, else `artifacts/`: a URL, or an absolute path.

    Raises:
        UserError: the URL has a login in it, which would be recorded with every version.
    """
    where = os.environ.get("RECOMMENDER_ARTIFACTS", "artifacts")
    if remote.is_url(where) and redacted(where) != where:
        raise UserError(
            f"RECOMMENDER_ARTIFACTS={redacted(where)} has a login or a query in it: name the "
            "bucket and folder alone, and give the login as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    return where.rstrip("/") if remote.is_url(where) else str(Path(where).absolute())


def artifacts_root() -> Path:
    """Absolute local root of everything a run writes; for a URL, a folder of its own here."""
    where = root_setting()
    if not remote.is_url(where):
        return Path(where)
    return Path("artifacts").absolute() / re.sub(r"\W+", "-", where)


def shared() -> Copy | None:
    """The artifacts root that other machines see; None where it is a path."""
    where = root_setting()
    return remote.opened(where) if remote.is_url(where) else None


def uri_of(name: str) -> str:
    """Where something lies that no stage writes, under the root as it is set."""
    return f"{root_setting()}/{name}"


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
    """Local folder of all entries."""
    return artifacts_root() / CACHE


def _generation() -> str:
    if copy := shared():
        return copy.text(GENERATION) or ""
    file = artifacts_root() / GENERATION
    return file.read_text() if file.exists() else ""


def forget() -> None:
    """Make every entry unreachable: what follows is computed anew, and pruned away in time."""
    if copy := shared():
        copy.write(GENERATION, uuid4().hex)
        return
    cache_root().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cache_root(), delete=False) as file:
        file.write(uuid4().hex)
    Path(file.name).rename(artifacts_root() / GENERATION)


def _canonical(part: object) -> bytes:
    value = part.model_dump(mode="json") if isinstance(part, BaseModel) else part
    return json.dumps(value, sort_keys=True).encode()


@dataclass(frozen=True)
class Slot:
    """Where a stage writes its output: files go into `folder`, references point to the entry.

    Both names are relative to the artifacts root, so that a worker elsewhere has its own `folder`.
    """

    writing: str
    entry: str

    @property
    def folder(self) -> Path:
        """Where the entry is being written on this machine."""
        return artifacts_root() / self.writing

    @property
    def final(self) -> Path:
        """Where the entry will be on this machine."""
        return artifacts_root() / self.entry

    @property
    def work(self) -> Path:
        """A folder for checkpoints: it outlives a killed writer, and the next one finds it."""
        folder = self.final.with_name(f".work-{self.final.name}")
        folder.mkdir(exist_ok=True)
        return folder

    def ref(self, kind: type[R], name: str, rows: int = 0) -> R:
        """Reference to the file or folder `name` that was written into the slot."""
        path = str(Path(self.entry) / name)
        return kind(paths=(path,), digest=file_digest(self.folder / name), rows=rows)

    def table(self, kind: type[R], name: str, table: pa.Table) -> R:
        """Write a table as parquet into the slot and refer to it."""
        pq.write_table(table, self.folder / name)
        return self.ref(kind, name, table.num_rows)

    def whole(self, kind: type[R], rows: int = 0) -> R:
        """Reference to the slot as one folder."""
        return self.ref(kind, ".", rows)


def entry(stage: str, key: Sequence[object], kind: type[M], write: Callable[[Slot], M]) -> M:
    """The stored output of `stage` for `key`, written by `write` unless it is there already."""
    name = f"{CACHE}/{stage}/{key_of([*key, _generation()])}"
    known = _known(name)
    if known is not None:
        return kind.model_validate_json(known)
    final = artifacts_root() / name
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=final.parent))
    try:
        result = write(Slot(str(folder.relative_to(artifacts_root())), name))
        _keep(folder, name, result.model_dump_json())
        shutil.rmtree(final.with_name(f".work-{final.name}"), ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return kind.model_validate_json(_known(name) or "")


def _known(name: str) -> str | None:
    """The record of an entry that is complete; where the root is shared, as others see it."""
    record, copy = artifacts_root() / name / RECORD, shared()
    own = record.read_text() if record.exists() else None
    if own is not None:
        os.utime(record)  # when it was used last: what `prune` goes by
    if copy is None:
        return own
    theirs = copy.record(name)
    if theirs is None and own is not None:  # pruned there and not here
        copy.push(record.parent, name, own)
    elif theirs != own:  # written anew by another machine, after it was pruned there
        shutil.rmtree(record.parent, ignore_errors=True)
    return theirs or own


def _keep(folder: Path, name: str, record: str) -> None:
    """Make an entry of what was written into a folder; where the root is shared, there first."""
    copy, elsewhere = shared(), not any(folder.iterdir())
    if copy:
        if copy.record(name):  # another machine was first: its entry stands
            return
        copy.push(folder, name, record)
        if elsewhere:
            return
    (folder / RECORD).write_text(record)
    _publish(folder, artifacts_root() / name)


def hand_over(slot: Slot) -> None:
    """Copy up what was written into a slot on a machine with a disk of its own.

    Raises:
        UserError: there is nowhere to copy it to.
    """
    copy = shared()
    if copy is None:
        raise UserError(
            "Dask workers on other machines need an artifacts root that they share: a path that "
            "all see, or RECOMMENDER_ARTIFACTS=s3://…"
        )
    copy.up(slot.folder, slot.entry)
    shutil.rmtree(slot.folder)


def _publish(folder: Path, final: Path) -> None:
    """Rename into place; where another run was first, its entry stands."""
    try:
        folder.rename(final)
    except OSError:
        if not (final / RECORD).exists():
            raise


def prune(max_bytes: int, unused_since: float) -> int:
    """Delete entries, least recently used first, until `max_bytes` are left; the bytes freed.

    Entries used after `unused_since` (seconds since the epoch) stay whatever they take, and so a
    run never loses its own. What killed writers left behind before then goes first.
    """
    for leftover in cache_root().glob("*/.*"):
        if leftover.stat().st_mtime < unused_since:
            shutil.rmtree(leftover, ignore_errors=True)
    here = Copy(LocalFileSystem(), str(artifacts_root()))
    copies = [here, copy] if (copy := shared()) else [here]
    return sum(one.prune(CACHE, max_bytes, unused_since) for one in copies)


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
    copy, folder = shared(), artifacts_root() / entry
    if copy and not folder.exists():
        copy.pull(entry, folder)
    return artifacts_root() / path


def read(ref: Ref, columns: Sequence[str] | None = None) -> pa.Table:
    """The table behind a reference, chunks concatenated in order."""
    return pa.concat_tables(chunks(ref, columns))


def chunks(ref: Ref, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The tables behind a reference, one at a time: what a pass over all movies reads."""
    names = list(columns) if columns is not None else None
    # Reading ahead is for object stores: on a disk it only holds more memory.
    read_one = partial(pq.read_table, columns=names, pre_buffer=False)
    return (read_one(_here(path)) for path in ref.paths)


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
