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


def test_a_full_disk_is_freed_of_all_but_what_was_used_in_the_last_hours(artifacts):
    old, new = entry_of_size(10_000, "old"), entry_of_size(10_000, "new")
    set_last_use(old, time.time() - store.GRACE_SECONDS - 60)
    set_last_use(new, time.time() - store.GRACE_SECONDS + 60)
    assert store.free_disk() >= 10_000
    assert [store.locate(ref).exists() for ref in (old, new)] == [False, True]


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


def test_entries_of_the_remote_root_are_deleted_too(tmp_path, monkeypatch):
    """The freed bytes are those of both: each has the entry's file and record."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", (tmp_path / "shared").as_uri())
    (tmp_path / "shared").mkdir()
    ref = entry_of_size(10_000, "key")
    copies = [root / ref.paths[0] for root in (tmp_path / "shared", store.artifacts_root())]
    sizes = [(copy.parent / "ref.json").stat().st_size + 10_000 for copy in copies]
    assert store.prune(0, unused_since=time.time() + 60) == sum(sizes)
    assert not any(copy.exists() for copy in copies)


def test_local_entries_are_deleted_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", (tmp_path / "shared").as_uri())
    (tmp_path / "shared").mkdir()
    ref = entry_of_size(10_000, "key")
    assert 10_000 < store.prune_local(0, unused_since=time.time() + 60) < 20_000
    assert (tmp_path / "shared" / ref.paths[0]).exists()


def test_the_oldest_of_two_writers_counts_and_a_free_lock_does_not(artifacts):
    locks = artifacts / "cache" / ".locks"
    with (
        file_lock(locks / "doc2vec-a", "test", 1.0),
        file_lock(locks / "doc2vec-b", "test", 1.0),
    ):
        (locks / "doc2vec-c").touch()
        for name, seconds in (("a", 3000.0), ("b", 2000.0), ("c", 1000.0)):
            os.utime(locks / f"doc2vec-{name}", (seconds, seconds))
        assert store.oldest_writer_start() == 2000.0


@pytest.mark.parametrize(("changed", "remains"), [(1999.0, False), (2000.0, True)])
def test_leftovers_that_were_changed_since_then_are_kept(artifacts, changed, remains):
    """A work folder may be that of a writer on its way from one lock to the next."""
    work, lock = artifacts / "cache/stage/.work-a", artifacts / "cache/.locks/stage-a"
    for path in (work, lock):
        path.parent.mkdir(parents=True)
        path.mkdir() if path == work else path.touch()
        os.utime(path, (changed, changed))
    store.prune(10**9, unused_since=2000.0)
    assert (work.exists(), lock.exists()) == (remains, remains)


def test_a_lock_of_another_stage_protects_no_leftover(artifacts):
    leftover = artifacts / "cache" / "stage" / ".work-a"
    leftover.mkdir(parents=True)
    os.utime(leftover, (1000.0, 1000.0))
    with file_lock(artifacts / "cache" / ".locks" / "other-a", "test", 1.0):
        store.prune(10**9, unused_since=2000.0)
    assert not leftover.exists()
