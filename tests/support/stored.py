"""Tables and folders of a test, stored as if a stage had written them."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa

from tasks.core.contracts import Ref
from tasks.core.storage import store
from tasks.core.storage.entry_record import record_in

R = TypeVar("R", bound=Ref)


def stored_table(kind: type[R], table: pa.Table) -> R:
    """A new entry with a table."""

    def write(writer: store.EntryWriter) -> R:
        return writer.table_ref(kind, "table.parquet", table)

    return store.get_or_create("test", [uuid4().hex], kind, write)


def stored_folder(kind: type[R], write_files: Callable[[Path], None]) -> R:
    """A new entry with the files that a function writes."""

    def write(writer: store.EntryWriter) -> R:
        write_files(writer.folder)
        return writer.folder_ref(kind)

    return store.get_or_create("test", [uuid4().hex], kind, write)


def stored_refs(stage: str, kind: type[R]) -> list[R]:
    """References to all entries of a stage in the current artifacts root, sorted by file name."""
    records = (record_in(folder) for folder in (store.cache_root() / stage).glob("[!.]*"))
    refs = [kind.model_validate(record.result) for record in records if record]
    return sorted(refs, key=lambda ref: ref.name)
