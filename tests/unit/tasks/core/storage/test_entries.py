import os
import random
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.core import disk
from tasks.core.contracts import (
    DocumentsRef,
    IngestRef,
    MoviesRef,
    QuarantineRef,
    UserError,
)
from tasks.core.storage import entries, store
from tests.support.patched_module import patch_import


def write(writer: store.EntryWriter) -> DocumentsRef:
    return writer.table_ref(DocumentsRef, "part.parquet", pa.table({"id": [1, 2]}))


def test_an_entry_is_written_once_and_then_reused(artifacts):
    writers = []

    def write_and_count(writer: store.EntryWriter) -> DocumentsRef:
        writers.append(writer)
        return write(writer)

    first = store.get_or_create("stage", ["key"], DocumentsRef, write_and_count)
    second = store.get_or_create("stage", ["key"], DocumentsRef, write_and_count)
    assert first == second
    assert len(writers) == 1
    assert store.read(first)["id"].to_pylist() == [1, 2]
    assert first.rows == 2


def test_different_keys_give_different_entries():
    first = store.get_or_create("stage", [1, "a"], DocumentsRef, write)
    assert store.get_or_create("stage", [1, "b"], DocumentsRef, write).paths != first.paths


def test_a_failed_writer_leaves_no_files(artifacts):
    def fail(writer: store.EntryWriter) -> DocumentsRef:
        write(writer)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.get_or_create("stage", ["key"], DocumentsRef, fail)
    assert list((artifacts / "cache" / "stage").iterdir()) == []


def test_without_a_common_lock_the_first_published_entry_is_kept(monkeypatch):
    monkeypatch.setattr(entries, "file_lock", lambda *_: nullcontext())

    def write_second(writer: store.EntryWriter) -> DocumentsRef:
        monkeypatch.setattr(entries, "gethostname", lambda: "another machine")
        store.get_or_create("stage", ["key"], DocumentsRef, write)
        return writer.table_ref(DocumentsRef, "part.parquet", pa.table({"id": [9]}))

    ref = store.get_or_create("stage", ["key"], DocumentsRef, write_second)
    assert store.read(ref)["id"].to_pylist() == [1, 2]


def test_an_entry_without_its_record_is_written_again(artifacts):
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)
    (store.locate(ref).parent / "ref.json").unlink()
    assert store.get_or_create("stage", ["key"], DocumentsRef, write) == ref
    assert store.read(ref).num_rows == 2


def test_an_unknown_folder_at_the_target_is_replaced():
    def write_beside_unknown_folder(writer: store.EntryWriter) -> DocumentsRef:
        writer.target_dir.mkdir()
        (writer.target_dir / "unknown").touch()
        return write(writer)

    ref = store.get_or_create("stage", ["key"], DocumentsRef, write_beside_unknown_folder)
    assert store.read(ref).num_rows == 2


def write_all_kinds(writer: store.EntryWriter) -> IngestRef:
    """Write an entry with several references, a folder, and a file of each format."""
    (writer.folder / "below").mkdir()
    np.save(writer.folder / "below" / "array.npy", np.arange(10))
    store.write_json(writer.folder / "metrics.json", {"f1": 0.5})
    return IngestRef(
        source="movies.csv",
        digest="0" * 64,
        files=(),
        chunks=(writer.table_ref(MoviesRef, "a.parquet", pa.table({"id": [1, 2]})),),
        quarantine=writer.table_ref(QuarantineRef, "q.parquet", pa.table({"row": [3]})),
        rows=3,
        kept=2,
        unlabelled=0,
        unreadable_keywords=0,
        unreadable_credits=0,
        reasons={"bad_id": 1},
    )


def read_files(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def get_or_write() -> tuple[IngestRef, bool]:
    """The entry with all kinds of files, and whether it was written."""
    writers = []

    def write_and_count(writer: store.EntryWriter) -> IngestRef:
        writers.append(writer)
        return write_all_kinds(writer)

    return store.get_or_create("stage", ["key"], IngestRef, write_and_count), bool(writers)


def test_a_changed_bit_anywhere_in_an_entry_is_detected_and_repaired():
    first, _ = get_or_write()
    folder = store.locate(first.quarantine).parent
    intact, rng = read_files(folder), random.Random(1)  # noqa: S311 - damage, not a secret
    for _ in range(300):
        name = rng.choice(sorted(intact))
        changed = bytearray(intact[name])
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(changed)
        ref, was_written = get_or_write()
        assert ref == first
        assert read_files(folder) == intact or not was_written  # white space in JSON is ignored
        assert was_written or name == "ref.json"


@pytest.mark.parametrize("name", ["ref.json", "a.parquet", "below/array.npy"])
@pytest.mark.parametrize("share_left", [0, 0.5, None])
def test_an_entry_with_an_empty_truncated_or_missing_file_is_written_again(name, share_left):
    first, _ = get_or_write()
    file = store.locate(first.quarantine).parent / name
    content = file.read_bytes()
    if share_left is None:
        file.unlink()
    else:
        file.write_bytes(content[: int(share_left * len(content))])
    assert get_or_write() == (first, True)
    assert file.read_bytes() == content
    assert get_or_write() == (first, False)


def test_an_entry_of_an_earlier_version_is_written_again():
    first, _ = get_or_write()
    (store.locate(first.quarantine).parent / "ref.json").write_text(first.model_dump_json())
    assert get_or_write() == (first, True)


def test_of_two_equal_concurrent_writers_the_second_waits_and_reuses_the_entry():
    writers, started, may_finish, refs = [], threading.Event(), threading.Event(), []

    def write_when_allowed(writer: store.EntryWriter) -> DocumentsRef:
        writers.append(writer)
        started.set()
        assert may_finish.wait(10)
        return write(writer)

    def run() -> None:
        refs.append(store.get_or_create("stage", ["key"], DocumentsRef, write_when_allowed))

    threads = [threading.Thread(target=run) for _ in range(2)]
    threads[0].start()
    assert started.wait(10)
    threads[1].start()
    may_finish.set()
    for thread in threads:
        thread.join(10)
    assert len(writers) == 1
    assert refs[0] == refs[1]


def test_the_next_writer_deletes_the_folder_of_a_killed_one(artifacts):
    leftovers = list[Path]()

    def leave_folder(writer: store.EntryWriter) -> DocumentsRef:
        leftovers.append(writer.folder.with_name(f"{writer.folder.name}-killed"))
        leftovers[0].mkdir()
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.get_or_create("stage", ["key"], DocumentsRef, leave_folder)
    assert leftovers[0].exists()
    store.get_or_create("stage", ["key"], DocumentsRef, write)
    assert not leftovers[0].exists()


def test_the_umask_decides_who_can_read_an_entry():
    original_umask = os.umask(0o027)
    try:
        folder = store.locate(store.get_or_create("stage", ["key"], DocumentsRef, write)).parent
    finally:
        os.umask(original_umask)
    assert folder.stat().st_mode & 0o777 == 0o750


def test_an_entry_of_another_user_is_reused_without_updating_its_time(monkeypatch):
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)

    def deny(*_: object) -> None:
        raise PermissionError

    patch_import(monkeypatch, entries, "os", utime=deny)
    assert store.get_or_create("stage", ["key"], DocumentsRef, write) == ref


def test_any_error_on_a_full_disk_becomes_a_user_error(monkeypatch):
    def write_until_full(writer: store.EntryWriter) -> DocumentsRef:
        monkeypatch.setattr(disk, "FULL_BELOW_BYTES", float("inf"))
        raise RuntimeError("[enforce fail at inline_container.cc:672]")

    with pytest.raises(UserError, match="The disk is full"):
        store.get_or_create("stage", ["key"], DocumentsRef, write_until_full)
