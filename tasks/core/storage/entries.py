"""Entries of the store: stage outputs under the artifacts root, addressed by their input.

An entry is a folder named by the hash of everything that went into it: input digests, config and
the stage's code version. It is written under a temporary name and renamed when complete, so that
an entry exists whole or not at all, whatever kills the writer. Who writes it holds its lock: a
second run of the same waits and finds it. A file that is missing or changed is noticed when the
entry is looked up, and the entry is made again (`entry_record`). Where the root is a URL, entries
are copied up when they are complete, and fetched when they are read (`remote`).
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem
from pydantic import BaseModel, ValidationError

from tasks.core import disk
from tasks.core.contracts import Ref, UserError
from tasks.core.files import DELETED_PREFIX, delete_atomically, delete_best_effort
from tasks.core.locks import file_lock, is_locked
from tasks.core.storage.artifacts_root import (
    CACHE,
    artifacts_root,
    cache_generation,
    cache_root,
    file_digest,
    key_of,
    remote_store,
)
from tasks.core.storage.entry_record import (
    FILE_LIST,
    RECORD,
    Record,
    dump_files,
    is_intact,
    list_files,
    new_record,
    parse_files,
    parse_record,
    record_in,
)
from tasks.core.storage.remote import RemoteStore

R = TypeVar("R", bound=Ref)
M = TypeVar("M", bound=BaseModel)
LOCKS = f"{CACHE}/.locks"
LOCK_SECONDS = 24 * 3600.0  # another run may be training for hours
logger = logging.getLogger("prefect.movie_recommender")


@dataclass(frozen=True)
class EntryWriter:
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
    def target_dir(self) -> Path:
        """Where the entry will be on this machine."""
        return artifacts_root() / self.entry

    @property
    def checkpoint_dir(self) -> Path:
        """A folder for checkpoints: it outlives a killed writer, and the next one finds it."""
        folder = self.target_dir.with_name(f".work-{self.target_dir.name}")
        folder.mkdir(exist_ok=True)
        return folder

    def file_ref(self, kind: type[R], name: str, rows: int = 0) -> R:
        """Reference to the file or folder `name` that was written into the writer."""
        path = str(Path(self.entry) / name)
        return kind(paths=(path,), digest=file_digest(self.folder / name), rows=rows)

    def table_ref(self, kind: type[R], name: str, table: pa.Table) -> R:
        """Write a table as parquet into the writer and refer to it."""
        pq.write_table(table, self.folder / name)
        return self.file_ref(kind, name, table.num_rows)

    def folder_ref(self, kind: type[R], rows: int = 0, measured: str = "") -> R:
        """Reference to the writer as one folder.

        The file `measured` holds times and the like, which no two runs share: it is no part of the
        digest, so that equal runs give equal references.
        """
        digest = file_digest(self.folder, without=[measured])
        return kind(paths=(self.entry,), digest=digest, rows=rows)


def get_or_create(
    stage: str, key: Sequence[object], kind: type[M], write: Callable[[EntryWriter], M]
) -> M:
    """The stored output of `stage` for `key`, written by `write` unless it is there already.

    Raises:
        UserError: the disk is full, or another run is still at this entry after a day.
    """
    name = f"{CACHE}/{stage}/{key_of([*key, cache_generation()])}"
    stored = _stored(name, kind)
    if stored is not None:
        return stored
    with file_lock(_lock_of(name), f"write the {stage} entry of the cache", LOCK_SECONDS):
        stored = _stored(name, kind)  # another run may have written it in the meantime
        return _write(name, write) if stored is None else stored


def _lock_of(name: str) -> Path:
    """The lock of the one who writes an entry, on this machine."""
    stage, key = Path(name).parts[1:]
    return artifacts_root() / LOCKS / f"{stage}-{key}"


def _write(name: str, write: Callable[[EntryWriter], M]) -> M:
    """Write an entry while its lock is held; the result that stands."""
    final = artifacts_root() / name
    folder = final.with_name(f"{_prefix(final)}{uuid4().hex[:8]}")
    try:
        _clear(final)
        folder.mkdir(parents=True)
        result = write(EntryWriter(str(folder.relative_to(artifacts_root())), name))
        record = _keep(folder, name, result)
    except UserError:
        raise
    except Exception as error:
        if message := disk.full_disk_message(error, artifacts_root()):
            raise UserError(message) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(final.with_name(f".work-{final.name}"), ignore_errors=True)
    return type(result).model_validate(record.result)


def _clear(final: Path) -> None:
    """Delete what stands in an entry's place and cannot be used, and what dead writers left."""
    if final.exists():
        logger.warning("%s is damaged, or of an earlier version: it is made again.", final)
        delete_atomically(final)
    for leftover in final.parent.glob(f"{_prefix(final)}*"):
        delete_best_effort(leftover)  # its writer is dead, or the lock would not be ours


def _prefix(final: Path) -> str:
    """What the folders begin with that this machine writes an entry in: a lock may not reach
    further than one machine."""
    return f".writing-{final.name}-{gethostname()}-"


def _stored(name: str, kind: type[M]) -> M | None:
    """The result of a complete entry whose files are as they were written; else None."""
    record = _record(name)
    try:
        return None if record is None else kind.model_validate(record.result)
    except ValidationError:  # of an earlier version
        return None


def _record(name: str) -> Record | None:
    """The record of a complete entry; where the root is shared, as others see it."""
    folder, copy = artifacts_root() / name, remote_store()
    there = folder.exists()
    own = record_in(folder)
    if own is not None and not is_intact(folder, own.files):
        own = None
    if own is not None:
        with suppress(OSError):  # another user's: it only looks as if it had not been used
            os.utime(folder / RECORD)  # when it was used last: what `prune` goes by
    if copy is None:
        return own
    theirs = parse_record(copy.record(name))
    if theirs is None and own is not None:  # pruned there and not here
        copy.push(folder, name, own.model_dump_json())
    elif there and theirs != own:  # damaged here, or written anew by another machine
        delete_atomically(folder)
    return theirs or own


def _keep(folder: Path, name: str, result: BaseModel) -> Record:
    """Make an entry of what was written into a folder; where the root is shared, there first."""
    copy, files = remote_store(), list_files(folder)
    if copy is None:
        return _publish(folder, artifacts_root() / name, new_record(result, files))
    if standing := parse_record(copy.record(name)):  # another machine was first: its entry stands
        return standing
    written_elsewhere = parse_files(copy.text(f"{name}/{FILE_LIST}")) if not files else {}
    record = new_record(result, files or written_elsewhere)
    if not files:
        copy.write(f"{name}/{RECORD}", record.model_dump_json())
        return record
    copy.push(folder, name, record.model_dump_json())
    return _publish(folder, artifacts_root() / name, record)


def upload_entry(writer: EntryWriter) -> None:
    """Copy up what was written into a writer on a machine with a disk of its own.

    Raises:
        UserError: there is nowhere to copy it to.
    """
    copy = remote_store()
    if copy is None:
        raise UserError(
            "Dask workers on other machines need an artifacts root that they share: a path that "
            "all see, or RECOMMENDER_ARTIFACTS=s3://…"
        )
    (writer.folder / FILE_LIST).write_bytes(dump_files(list_files(writer.folder)))
    copy.up(writer.folder, writer.entry)
    shutil.rmtree(writer.folder)


def _publish(folder: Path, final: Path, record: Record) -> Record:
    """Rename into place; where a run on another machine was first, its entry stands."""
    (folder / RECORD).write_text(record.model_dump_json())
    try:
        folder.rename(final)
    except OSError:
        if standing := record_in(final):
            return standing
        delete_atomically(final)
        folder.rename(final)
    return record


def prune(max_bytes: int, unused_since: float) -> int:
    """Delete entries, least recently used first, until `max_bytes` are left; the bytes freed.

    Entries used after `unused_since` (seconds since the epoch) stay whatever they take, and so a
    run never loses its own. What killed writers left behind before then goes first.
    """
    freed = prune_local(max_bytes, unused_since)
    return freed + (copy.prune(CACHE, max_bytes, unused_since) if (copy := remote_store()) else 0)


def prune_local(max_bytes: int, unused_since: float) -> int:
    """`prune` of this machine's files alone."""
    _sweep(unused_since)
    return RemoteStore(LocalFileSystem(), str(artifacts_root())).prune(
        CACHE, max_bytes, unused_since
    )


def oldest_writer_start() -> float:
    """When the writer that has been at work longest took its lock (seconds since the epoch).

    It may need again what it read before then; now, where no writer is at work.
    """
    held = [lock for lock in (artifacts_root() / LOCKS).glob("*") if is_locked(lock)]
    return min((lock.stat().st_mtime for lock in held), default=time.time())


def _sweep(unused_since: float) -> None:
    """Delete what is left of deleting and of dead writers, and the locks that nobody holds."""
    held = {lock.name for lock in (artifacts_root() / LOCKS).glob("*") if is_locked(lock)}
    for leftover in cache_root().glob("*/.*"):
        key = "".join(leftover.name.split("-")[1:2])
        at_work = f"{leftover.parent.name}-{key}" in held
        if leftover.name.startswith(DELETED_PREFIX) or not (
            at_work or _used(leftover, unused_since)
        ):
            delete_best_effort(leftover)
    for lock in (artifacts_root() / LOCKS).glob("*"):
        if lock.name not in held and not _used(lock, unused_since):
            lock.unlink(missing_ok=True)


def _used(path: Path, since: float) -> bool:
    """Whether a file or folder was changed after then; False where it is gone."""
    try:
        return path.stat().st_mtime >= since
    except FileNotFoundError:
        return False
