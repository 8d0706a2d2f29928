import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import store
from tasks.contracts import DocumentsRef, Ref, UserError, VectorsRef


def write(slot: store.Slot) -> DocumentsRef:
    return slot.table(DocumentsRef, "part.parquet", pa.table({"id": [1, 2]}))


def test_an_entry_is_written_once_and_read_again(artifacts):
    written = []

    def write_and_count(slot: store.Slot) -> DocumentsRef:
        written.append(slot)
        return write(slot)

    first = store.entry("stage", ["key"], DocumentsRef, write_and_count)
    second = store.entry("stage", ["key"], DocumentsRef, write_and_count)
    assert first == second
    assert len(written) == 1
    assert store.read(first)["id"].to_pylist() == [1, 2]
    assert first.rows == 2


def test_another_key_is_another_entry():
    first = store.entry("stage", [1, "a"], DocumentsRef, write)
    assert store.entry("stage", [1, "b"], DocumentsRef, write).paths != first.paths


def test_a_writer_that_fails_leaves_nothing(artifacts):
    def fail(slot: store.Slot) -> DocumentsRef:
        write(slot)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.entry("stage", ["key"], DocumentsRef, fail)
    assert list((artifacts / "cache" / "stage").iterdir()) == []


def test_when_two_write_the_same_entry_the_first_stands():
    def overtaken(slot: store.Slot) -> DocumentsRef:
        store.entry("stage", ["key"], DocumentsRef, write)
        return slot.table(DocumentsRef, "part.parquet", pa.table({"id": [9]}))

    ref = store.entry("stage", ["key"], DocumentsRef, overtaken)
    assert store.read(ref)["id"].to_pylist() == [1, 2]


def test_an_unwritable_place_is_an_error_not_a_silent_miss(artifacts):
    def block(slot: store.Slot) -> DocumentsRef:
        slot.final.mkdir()
        (slot.final / "stranger").touch()
        return write(slot)

    with pytest.raises(OSError, match="not empty"):
        store.entry("stage", ["key"], DocumentsRef, block)


def test_references_survive_a_move_of_the_root(artifacts, monkeypatch):
    ref = store.entry("stage", ["key"], DocumentsRef, write)
    moved = artifacts.rename(artifacts.with_name("elsewhere"))
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(moved))
    assert store.read(ref).num_rows == 2


def test_joined_chunks_keep_their_order():
    def part(value: int) -> DocumentsRef:
        return store.entry(
            "stage",
            [value],
            DocumentsRef,
            lambda slot: slot.table(DocumentsRef, "part.parquet", pa.table({"id": [value]})),
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
    def write_bytes(slot: store.Slot) -> DocumentsRef:
        (slot.folder / "file").write_bytes(b"x" * size)
        return slot.ref(DocumentsRef, "file")

    return store.entry("stage", [key], DocumentsRef, write_bytes)


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


def test_forgetting_makes_everything_be_computed_anew():
    before = entry_of(10, "key")
    store.forget()
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
        store.entry(
            "v",
            [n],
            VectorsRef,
            lambda slot, p=part: slot.table(
                VectorsRef, "v.parquet", store.vectors_table(pa.chunked_array([[0] * len(p)]), p)
            ),
        )
        for n, part in enumerate(parts)
    ]
    found = store.chosen_vectors(store.join(refs), np.array([False, True, True]))
    assert found.tolist() == [[2, 2], [3, 3]]


@pytest.mark.parametrize(
    "url", ["s3://key:s3cr3t@bucket/team", "s3://bucket/team?secret_key=s3cr3t"]
)
def test_a_root_with_a_login_in_its_url_is_refused(url, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", url)
    with pytest.raises(UserError, match=r"name the bucket and folder alone") as caught:
        store.root_setting()
    assert "s3cr3t" not in str(caught.value)
