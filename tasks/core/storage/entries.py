"""Entries: stage outputs in the artifacts root, stored under a hash of the stage's inputs.

An entry is a folder named by the hash of everything that affects its content: input digests,
config, code and libraries of the stage. It is written under a temporary name and renamed when it is
complete, so that a killed writer never leaves a partial entry. Its writer holds a lock: a second
run with equal inputs waits, then reads the entry. Every look-up checks the files of the entry
(`entry_record`); a damaged entry is written again. If the root is a URL, complete entries are
uploaded, and downloaded when they are read (`remote`).
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from tasks.core import disk
from tasks.core.contracts import Ref, UserError
from tasks.core.files import delete_atomically, delete_best_effort
from tasks.core.locks import file_lock
from tasks.core.logs import logger
from tasks.core.orchestration.look_ups import record_look_up
from tasks.core.storage.artifacts_root import (
    CACHE,
    artifacts_root,
    cache_generation,
    file_digest,
    key_of,
    remote_store,
)
from tasks.core.storage.code_version import code_version
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


@dataclass(frozen=True)
class EntryWriter:
    """Where a stage writes its output: files go into `folder`, references name the entry.

    `writing` and `entry` are relative to the artifacts root, because `folder` is another path for a
    worker on another machine.
    """

    writing: str
    entry: str

    @property
    def folder(self) -> Path:
        """Local folder in which the entry is written."""
        return artifacts_root() / self.writing

    @property
    def target_dir(self) -> Path:
        """Local folder of the complete entry."""
        return artifacts_root() / self.entry

    @property
    def checkpoint_dir(self) -> Path:
        """Checkpoint directory: it outlives a killed writer, and the next one resumes from it."""
        folder = self.target_dir.with_name(f".work-{self.target_dir.name}")
        folder.mkdir(exist_ok=True)
        return folder

    def file_ref(self, kind: type[R], name: str, rows: int = 0) -> R:
        """Reference of type `kind` to the file or folder `name` in `folder`."""
        path = str(Path(self.entry) / name)
        return kind(paths=(path,), digest=file_digest(self.folder / name), rows=rows)

    def table_ref(self, kind: type[R], name: str, table: pa.Table) -> R:
        """Write a table as the parquet file `name`; return the reference to it."""
        pq.write_table(table, self.folder / name)
        return self.file_ref(kind, name, table.num_rows)

    def folder_ref(self, kind: type[R], rows: int = 0, measured: str = "") -> R:
        """Reference of type `kind` to the whole entry.

        The digest ignores the file `measured`, which contains times and other values that differ
        between runs, so that equal runs give equal references.
        """
        digest = file_digest(self.folder, exclude=[measured])
        return kind(paths=(self.entry,), digest=digest, rows=rows)


def get_or_create(
    stage: str, key: Sequence[object], kind: type[M], write: Callable[[EntryWriter], M]
) -> M:
    """The stored output of `stage` for `key`; if there is none, `write` writes it.

    `key` must contain everything that affects the output but code and libraries: those of the
    module that defines `write` are added.

    Raises:
        UserError: the disk is full, or another run has held the lock of the entry for a day.
    """
    full_key = [code_version(write.__module__), *key, cache_generation()]
    name = f"{CACHE}/{stage}/{key_of(full_key)}"
    stored = _load(name, kind)
    record_look_up(stored is not None)
    if stored is not None:
        return stored
    with file_lock(_lock_path(name), f"write the {stage} entry of the cache", LOCK_SECONDS):
        stored = _load(name, kind)  # another run may have written it while this run waited
        return _create(name, write) if stored is None else stored


def _lock_path(name: str) -> Path:
    """Lock of the writer of an entry, on this machine."""
    stage, key = Path(name).parts[1:]
    return artifacts_root() / LOCKS / f"{stage}-{key}"


def _create(name: str, write: Callable[[EntryWriter], M]) -> M:
    """Write an entry; the caller holds its lock. Returns the result of the stored entry."""
    target = artifacts_root() / name
    folder = target.with_name(f"{_writing_prefix(target)}{uuid4().hex[:8]}")
    try:
        _delete_leftovers(target)
        folder.mkdir(parents=True)
        result = write(EntryWriter(str(folder.relative_to(artifacts_root())), name))
        record = _store(folder, name, result)
    except UserError:
        raise
    except Exception as error:
        if message := disk.full_disk_message(error, artifacts_root()):
            raise UserError(message) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(target.with_name(f".work-{target.name}"), ignore_errors=True)
    return type(result).model_validate(record.result)


def _delete_leftovers(target: Path) -> None:
    """Delete an unusable entry, and the folders of writers that were killed."""
    if target.exists():
        logger.warning("%s is damaged or of an earlier version; it is computed again.", target)
        delete_atomically(target)
    for leftover in target.parent.glob(f"{_writing_prefix(target)}*"):
        delete_best_effort(leftover)  # its writer is dead, else this run would not hold the lock


def _writing_prefix(target: Path) -> str:
    """Prefix of the temporary folders of an entry.

    It contains the host name: on a shared disk, a lock may be invisible to other machines.
    """
    return f".writing-{target.name}-{gethostname()}-"


def _load(name: str, kind: type[M]) -> M | None:
    """The result of a complete and intact entry; None if there is none."""
    record = _find_record(name)
    try:
        return None if record is None else kind.model_validate(record.result)
    except ValidationError:  # written by an earlier version
        return None


def _find_record(name: str) -> Record | None:
    """The record of a complete and intact entry; None if there is none.

    The record in a remote store overrides the local one. A local entry that the remote store lost
    is uploaded; a local entry that differs from the remote one is deleted.
    """
    folder, remote_root = artifacts_root() / name, remote_store()
    folder_exists = folder.exists()
    local_record = _local_record(folder)
    if remote_root is None:
        return local_record
    remote_record = parse_record(remote_root.read_record(name))
    if remote_record is None and local_record is not None:  # the remote store was pruned
        remote_root.push(folder, name, local_record.model_dump_json())
    elif folder_exists and remote_record != local_record:  # damaged, or rewritten elsewhere
        delete_atomically(folder)
    return remote_record or local_record


def _local_record(folder: Path) -> Record | None:
    """The record of an intact local entry, which is marked as used now; None if there is none."""
    record = record_in(folder)
    if record is None or not is_intact(folder, record.files):
        return None
    with suppress(OSError):  # another user's file: pruning sees an older time of use
        os.utime(folder / RECORD)
    return record


def _store(folder: Path, name: str, result: BaseModel) -> Record:
    """Make a written folder a complete entry; returns the record that is stored."""
    remote_root = remote_store()
    if remote_root is None:
        return _publish(folder, artifacts_root() / name, new_record(result, list_files(folder)))
    if existing := parse_record(remote_root.read_record(name)):  # another machine was faster
        return existing
    return _store_remotely(remote_root, folder=folder, name=name, result=result)


def _store_remotely(remote_root: RemoteStore, folder: Path, name: str, result: BaseModel) -> Record:
    """Upload an entry, then publish it here; a worker may have uploaded its files already."""
    files = list_files(folder)
    if not files:
        uploaded_files = parse_files(remote_root.read_text(f"{name}/{FILE_LIST}"))
        record = new_record(result, uploaded_files)
        remote_root.write_text(f"{name}/{RECORD}", record.model_dump_json())
        return record
    record = new_record(result, files)
    remote_root.push(folder, name, record.model_dump_json())
    return _publish(folder, artifacts_root() / name, record)


def upload_entry(writer: EntryWriter) -> None:
    """Upload the files that a worker on a machine with another disk has written.

    Raises:
        UserError: the artifacts root is not shared between machines.
    """
    remote_root = remote_store()
    if remote_root is None:
        raise UserError(
            "Dask workers on other machines need a shared artifacts root: a path on a shared disk, "
            "or RECOMMENDER_ARTIFACTS=s3://…"
        )
    (writer.folder / FILE_LIST).write_bytes(dump_files(list_files(writer.folder)))
    remote_root.upload(writer.folder, writer.entry)
    shutil.rmtree(writer.folder)


def _publish(folder: Path, target: Path, record: Record) -> Record:
    """Rename a folder to its entry; an entry that another machine published first is kept."""
    (folder / RECORD).write_text(record.model_dump_json())
    try:
        folder.rename(target)
    except OSError:
        if existing := record_in(target):
            return existing
        delete_atomically(target)
        folder.rename(target)
    return record
