import os
import time

import pytest

from tasks.core.contracts import DocumentsRef, Ref
from tasks.core.locks import file_lock
from tasks.core.storage import store


def entry_of_size(size: int, key: object) -> DocumentsRef:
    def write_bytes(writer: store.EntryWriter) -> DocumentsRef:
        (writer.folder / "file").write_bytes(b"x" * size)
        return writer.file_ref(DocumentsRef, "file")

    return store.get_or_create("stage", [key], DocumentsRef, write_bytes)


def set_last_use(ref: Ref, seconds: float) -> None:
    os.utime(store.locate(ref).parent / "ref.json", (seconds, seconds))


def test_pruning_deletes_the_least_recently_used_entries(artifacts):
    refs = [entry_of_size(10_000, key) for key in range(3)]
    for age, ref in enumerate(refs):
        set_last_use(ref, 1000.0 + age)
    assert store.prune(22_000, unused_since=2000.0) >= 10_000
    assert [store.locate(ref).exists() for ref in refs] == [False, True, True]


def test_a_cache_hit_counts_as_use_and_recently_used_entries_are_kept(artifacts):
    old, new = entry_of_size(10_000, "old"), entry_of_size(10_000, "new")
    set_last_use(old, 1000.0)
    set_last_use(new, 1001.0)
    assert entry_of_size(10_000, "old") == old
    store.prune(11_000, unused_since=2000.0)
    assert [store.locate(ref).exists() for ref in (old, new)] == [True, False]
    assert store.prune(0, unused_since=2000.0) == 0


def test_pruning_deletes_folders_of_killed_writers(artifacts):
    entry_of_size(10, "key")
    leftover = artifacts / "cache" / "stage" / ".writing-killed"
    leftover.mkdir()
    os.utime(leftover, (1000.0, 1000.0))
    store.prune(10**9, unused_since=2000.0)
    assert not leftover.exists()


def test_pruning_keeps_folders_and_locks_of_running_writers(artifacts):
    stage, locks = artifacts / "cache" / "stage", artifacts / "cache" / ".locks"
    for name in (".work-a", ".work-b", ".writing-a-1", ".gone-1"):
        (stage / name).mkdir(parents=True)
        os.utime(stage / name, (1000.0, 1000.0))
    os.utime(stage / ".gone-1")
    with file_lock(locks / "stage-a", "test", 1.0):
        (locks / "stage-b").touch()
        for lock in locks.iterdir():
            os.utime(lock, (1000.0, 1000.0))
        store.prune(10**9, unused_since=2000.0)
        assert {path.name for path in stage.iterdir()} == {".work-a", ".writing-a-1"}
        assert [lock.name for lock in locks.iterdir()] == ["stage-a"]


def test_the_oldest_writer_is_the_one_whose_lock_is_oldest(artifacts):
    assert store.oldest_writer_start() == pytest.approx(time.time(), abs=5)
    lock = artifacts / "cache" / ".locks" / "doc2vec-a"
    with file_lock(lock, "test", 1.0):
        os.utime(lock, (1000.0, 1000.0))
        assert store.oldest_writer_start() == 1000.0


def test_pruning_deletes_folders_without_a_record(artifacts):
    ref = entry_of_size(10_000, "key")
    (store.locate(ref).parent / "ref.json").unlink()
    os.utime(store.locate(ref), (1000.0, 1000.0))
    assert store.prune(0, unused_since=2000.0) == 10_000
    assert list((artifacts / "cache" / "stage").iterdir()) == []
