import os
import random
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import disk
from tasks.core.contracts import (
    DocumentsRef,
    IngestRef,
    MoviesRef,
    QuarantineRef,
    Ref,
    UserError,
    VectorsRef,
)
from tasks.core.locks import file_lock
from tasks.core.storage import entries, store


def write(writer: store.EntryWriter) -> DocumentsRef:
    return writer.table_ref(DocumentsRef, "part.parquet", pa.table({"id": [1, 2]}))


def test_an_entry_is_written_once_and_read_again(artifacts):
    written = []

    def write_and_count(writer: store.EntryWriter) -> DocumentsRef:
        written.append(writer)
        return write(writer)

    first = store.get_or_create("stage", ["key"], DocumentsRef, write_and_count)
    second = store.get_or_create("stage", ["key"], DocumentsRef, write_and_count)
    assert first == second
    assert len(written) == 1
    assert store.read(first)["id"].to_pylist() == [1, 2]
    assert first.rows == 2


def test_another_key_is_another_entry():
    first = store.get_or_create("stage", [1, "a"], DocumentsRef, write)
    assert store.get_or_create("stage", [1, "b"], DocumentsRef, write).paths != first.paths


def test_a_writer_that_fails_leaves_nothing(artifacts):
    def fail(writer: store.EntryWriter) -> DocumentsRef:
        write(writer)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.get_or_create("stage", ["key"], DocumentsRef, fail)
    assert list((artifacts / "cache" / "stage").iterdir()) == []


def test_where_a_lock_does_not_reach_the_first_to_write_an_entry_stands(monkeypatch):
    monkeypatch.setattr(entries, "file_lock", lambda *_: nullcontext())

    def overtaken(writer: store.EntryWriter) -> DocumentsRef:
        monkeypatch.setattr(entries, "gethostname", lambda: "another machine")
        store.get_or_create("stage", ["key"], DocumentsRef, write)
        return writer.table_ref(DocumentsRef, "part.parquet", pa.table({"id": [9]}))

    ref = store.get_or_create("stage", ["key"], DocumentsRef, overtaken)
    assert store.read(ref)["id"].to_pylist() == [1, 2]


def test_what_is_half_deleted_is_written_again(artifacts):
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)
    (store.locate(ref).parent / "ref.json").unlink()
    assert store.get_or_create("stage", ["key"], DocumentsRef, write) == ref
    assert store.read(ref).num_rows == 2


def test_a_folder_that_appears_in_an_entrys_place_is_replaced():
    def meanwhile(writer: store.EntryWriter) -> DocumentsRef:
        writer.target_dir.mkdir()
        (writer.target_dir / "stranger").touch()
        return write(writer)

    assert store.read(store.get_or_create("stage", ["key"], DocumentsRef, meanwhile)).num_rows == 2


def of_every_kind(writer: store.EntryWriter) -> IngestRef:
    """An entry with several references, folders, and files of each kind that stages write."""
    (writer.folder / "below").mkdir()
    np.save(writer.folder / "below" / "array.npy", np.arange(10))
    store.write_json(writer.folder / "metrics.json", {"f1": 0.5})
    return IngestRef(
        source="movies.csv",
        digest="0" * 64,
        chunks=(writer.table_ref(MoviesRef, "a.parquet", pa.table({"id": [1, 2]})),),
        quarantine=writer.table_ref(QuarantineRef, "q.parquet", pa.table({"row": [3]})),
        rows=3,
        kept=2,
        unlabelled=0,
        unreadable_keywords=0,
        reasons={"bad_id": 1},
    )


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kept_or_made() -> tuple[IngestRef, bool]:
    """The entry of every kind, and whether it had to be made again."""
    made = []

    def write_and_note(writer: store.EntryWriter) -> IngestRef:
        made.append(writer)
        return of_every_kind(writer)

    return store.get_or_create("stage", ["key"], IngestRef, write_and_note), bool(made)


def test_a_changed_byte_anywhere_in_an_entry_is_noticed_and_mended():
    first, _ = kept_or_made()
    folder = store.locate(first.quarantine).parent
    whole, rng = content(folder), random.Random(1)  # noqa: S311 - damage, no secret
    for _ in range(300):
        name = rng.choice(sorted(whole))
        changed = bytearray(whole[name])
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(changed)
        again, made = kept_or_made()
        assert again == first
        assert content(folder) == whole or not made  # white space in JSON changes nothing
        assert made or name == "ref.json"


@pytest.mark.parametrize("name", ["ref.json", "a.parquet", "below/array.npy"])
@pytest.mark.parametrize("kept", [0, 0.5, None])
def test_a_file_that_is_emptied_cut_off_or_gone_is_made_again(name, kept):
    first, _ = kept_or_made()
    file = store.locate(first.quarantine).parent / name
    before = file.read_bytes()
    file.unlink() if kept is None else file.write_bytes(before[: int(kept * len(before))])
    assert kept_or_made() == (first, True)
    assert file.read_bytes() == before
    assert kept_or_made() == (first, False)


def test_an_entry_of_an_earlier_version_is_made_again():
    first, _ = kept_or_made()
    (store.locate(first.quarantine).parent / "ref.json").write_text(first.model_dump_json())
    assert kept_or_made() == (first, True)


def test_of_equal_writers_at_once_the_second_waits_and_finds_the_entry():
    written, begun, go_on, refs = [], threading.Event(), threading.Event(), []

    def slowly(writer: store.EntryWriter) -> DocumentsRef:
        written.append(writer)
        begun.set()
        assert go_on.wait(10)
        return write(writer)

    def run() -> None:
        refs.append(store.get_or_create("stage", ["key"], DocumentsRef, slowly))

    runs = [threading.Thread(target=run) for _ in range(2)]
    runs[0].start()
    assert begun.wait(10)
    runs[1].start()
    go_on.set()
    for each in runs:
        each.join(10)
    assert len(written) == 1
    assert refs[0] == refs[1]


def test_what_a_dead_writer_left_is_deleted_by_the_next(artifacts):
    left = list[Path]()

    def killed(writer: store.EntryWriter) -> DocumentsRef:
        left.append(writer.folder.with_name(f"{writer.folder.name}-killed"))
        left[0].mkdir()
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.get_or_create("stage", ["key"], DocumentsRef, killed)
    assert left[0].exists()
    store.get_or_create("stage", ["key"], DocumentsRef, write)
    assert not left[0].exists()


def test_others_of_the_group_may_read_an_entry():
    before = os.umask(0o027)
    try:
        folder = store.locate(store.get_or_create("stage", ["key"], DocumentsRef, write)).parent
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o750


def test_another_users_entry_is_used_though_it_cannot_be_touched(monkeypatch):
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert store.get_or_create("stage", ["key"], DocumentsRef, write) == ref


def test_a_full_disk_is_said_whatever_the_library_raised(monkeypatch):
    def write_until_full(writer: store.EntryWriter) -> DocumentsRef:
        monkeypatch.setattr(disk, "FULL_BELOW_BYTES", float("inf"))
        raise RuntimeError("[enforce fail at inline_container.cc:672]")

    with pytest.raises(UserError, match="The disk is full"):
        store.get_or_create("stage", ["key"], DocumentsRef, write_until_full)


def test_a_table_that_is_damaged_while_a_run_is_at_it_is_named():
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)
    store.locate(ref).write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"part.parquet was damaged or deleted .*: run again"):
        store.read(ref)
    store.locate(ref).unlink()
    with pytest.raises(UserError, match=r"part.parquet was damaged or deleted .*: run again"):
        store.read(ref)


def test_references_survive_a_move_of_the_root(artifacts, monkeypatch):
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)
    moved = artifacts.rename(artifacts.with_name("elsewhere"))
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(moved))
    assert store.read(ref).num_rows == 2


def test_joined_chunks_keep_their_order():
    def part(value: int) -> DocumentsRef:
        return store.get_or_create(
            "stage",
            [value],
            DocumentsRef,
            lambda writer: writer.table_ref(
                DocumentsRef, "part.parquet", pa.table({"id": [value]})
            ),
        )

    whole = store.join([part(3), part(1), part(2)])
    assert isinstance(whole, DocumentsRef)
    assert store.read(whole)["id"].to_pylist() == [3, 1, 2]
    assert whole.rows == 3
    assert whole.digest != store.join([part(1), part(3), part(2)]).digest


def test_the_digest_of_a_folder_counts_names_and_content(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = store.file_digest(folder)
    (folder / "a").rename(folder / "b")
    assert store.file_digest(folder) != first


def entry_of(size: int, key: object) -> DocumentsRef:
    def write_bytes(writer: store.EntryWriter) -> DocumentsRef:
        (writer.folder / "file").write_bytes(b"x" * size)
        return writer.file_ref(DocumentsRef, "file")

    return store.get_or_create("stage", [key], DocumentsRef, write_bytes)


def used_at(ref: Ref, seconds: float) -> None:
    os.utime(store.locate(ref).parent / "ref.json", (seconds, seconds))


def test_pruning_deletes_what_was_used_longest_ago(artifacts):
    refs = [entry_of(10_000, key) for key in range(3)]
    for age, ref in enumerate(refs):
        used_at(ref, 1000.0 + age)
    assert store.prune(22_000, unused_since=2000.0) >= 10_000
    assert [store.locate(ref).exists() for ref in refs] == [False, True, True]


def test_a_hit_counts_as_use_and_recent_use_protects(artifacts):
    old, new = entry_of(10_000, "old"), entry_of(10_000, "new")
    used_at(old, 1000.0)
    used_at(new, 1001.0)
    assert entry_of(10_000, "old") == old
    store.prune(11_000, unused_since=2000.0)
    assert [store.locate(ref).exists() for ref in (old, new)] == [True, False]
    assert store.prune(0, unused_since=2000.0) == 0


def test_pruning_clears_away_what_killed_writers_left(artifacts):
    entry_of(10, "key")
    leftover = artifacts / "cache" / "stage" / ".writing-killed"
    leftover.mkdir()
    os.utime(leftover, (1000.0, 1000.0))
    store.prune(10**9, unused_since=2000.0)
    assert not leftover.exists()


def test_pruning_leaves_alone_what_a_living_writer_has_locked(artifacts):
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


def test_what_a_long_training_may_need_again_is_kept(artifacts):
    assert store.oldest_writer_start() == pytest.approx(time.time(), abs=5)
    lock = artifacts / "cache" / ".locks" / "doc2vec-a"
    with file_lock(lock, "test", 1.0):
        os.utime(lock, (1000.0, 1000.0))
        assert store.oldest_writer_start() == 1000.0


def test_pruning_deletes_folders_without_a_record_too(artifacts):
    ref = entry_of(10_000, "key")
    (store.locate(ref).parent / "ref.json").unlink()
    os.utime(store.locate(ref), (1000.0, 1000.0))
    assert store.prune(0, unused_since=2000.0) == 10_000
    assert list((artifacts / "cache" / "stage").iterdir()) == []


def test_a_damaged_generation_only_costs_time(artifacts):
    store.invalidate_cache()
    before = entry_of(10, "key")
    (artifacts / "cache" / "generation").write_bytes(b"\xff\xfe")
    assert entry_of(10, "key").digest == before.digest


def test_forgetting_makes_everything_be_computed_anew():
    before = entry_of(10, "key")
    store.invalidate_cache()
    after = entry_of(10, "key")
    assert after.paths != before.paths
    assert entry_of(10, "key") == after


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_only_equal_parts_hash_alike(first, second):
    assert (store.sha256(first) == store.sha256(second)) == (first == second)


def test_vectors_come_back_as_they_were():
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = store.vectors_table(pa.chunked_array([[1, 2]]), vectors)
    assert np.array_equal(store.matrix(table), vectors)
    assert np.array_equal(store.matrix(pa.concat_tables([table, table])), np.vstack([vectors] * 2))


def test_a_reference_is_named_by_its_file():
    assert Ref(paths=("cache/x/chunk-00001.parquet",), digest="").name == "chunk-00001"
    assert VectorsRef(paths=("a/b.parquet",), digest="").rows == 0


def test_chosen_vectors_are_read_across_chunks():
    parts = [np.array([[1, 1], [2, 2]], np.float32), np.array([[3, 3]], np.float32)]
    refs = [
        store.get_or_create(
            "v",
            [n],
            VectorsRef,
            lambda writer, p=part: writer.table_ref(
                VectorsRef, "v.parquet", store.vectors_table(pa.chunked_array([[0] * len(p)]), p)
            ),
        )
        for n, part in enumerate(parts)
    ]
    found = store.select_vectors(store.join(refs), np.array([False, True, True]))
    assert found.tolist() == [[2, 2], [3, 3]]


@pytest.mark.parametrize(
    "url", ["s3://key:s3cr3t@bucket/team", "s3://bucket/team?secret_key=s3cr3t"]
)
def test_a_root_with_a_login_in_its_url_is_refused(url, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", url)
    with pytest.raises(UserError, match=r"name the bucket and folder alone") as caught:
        store.root_setting()
    assert "s3cr3t" not in str(caught.value)
