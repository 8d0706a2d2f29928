"""The remote store, on a folder and on an S3 server."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import Ref, UserError
from tasks.core.storage import remote, store
from tasks.registry.model_registry import tracking_uri


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Function that switches to a machine: a working directory with the same remote store."""

    def switch_to(name: str) -> None:
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)

    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", (tmp_path / "shared").as_uri())
    (tmp_path / "shared").mkdir()
    switch_to("one")
    return switch_to


def write_text(writer: store.EntryWriter, text: str) -> Ref:
    (writer.folder / "a.txt").write_text(text)
    return writer.file_ref(Ref, "a.txt")


def get_or_write(text: str, key: str = "k") -> Ref:
    """The entry of `key`; if there is none, it is written with `text`."""
    return store.get_or_create("stage", [key], Ref, lambda writer: write_text(writer, text))


def get_stored(key: str = "k") -> Ref:
    """The entry of `key`, which must exist."""

    def fail(writer: store.EntryWriter) -> Ref:
        raise AssertionError("the entry does not exist")

    return store.get_or_create("stage", [key], Ref, fail)


def shared_record(ref: Ref, tmp_path: Path) -> Path:
    """The record of an entry in the remote store."""
    return tmp_path / "shared" / Path(ref.paths[0]).parent / "ref.json"


def test_one_machine_reads_what_another_wrote(machines):
    ref = get_or_write("hello")
    machines("two")
    assert get_stored() == ref
    assert store.locate(ref).read_text() == "hello"
    assert store.locate(ref).is_relative_to(Path.cwd())


def test_entries_are_downloaded_only_when_read(machines):
    get_or_write("hello")
    machines("two")
    get_stored()
    assert not store.cache_root().exists()


def test_an_entry_without_its_record_is_written_again(machines, tmp_path):
    ref = get_or_write("partial")
    shared_record(ref, tmp_path).unlink()
    machines("two")
    assert store.locate(get_or_write("complete")).read_text() == "complete"


def test_the_remote_entry_replaces_a_different_local_one(machines, tmp_path):
    ref = get_or_write("old")
    shutil.rmtree(tmp_path / "shared" / "cache")
    machines("two")
    get_or_write("new")
    machines("one")
    assert store.locate(get_or_write("other")).read_text() == "new"
    assert ref != get_or_write("other")


def test_an_entry_pruned_in_the_remote_store_is_uploaded_again(machines, tmp_path):
    ref = get_or_write("hello")
    shutil.rmtree(tmp_path / "shared" / "cache")
    assert get_or_write("other") == ref
    machines("two")
    assert store.locate(ref).read_text() == "hello"


def test_a_damaged_local_entry_is_downloaded_again(machines):
    ref = get_or_write("hello")
    store.locate(ref).write_text("jello")
    assert get_stored() == ref
    assert store.locate(ref).read_text() == "hello"


def test_a_damaged_remote_entry_is_rejected_and_written_again(machines, tmp_path):
    ref = get_or_write("hello")
    (tmp_path / "shared" / ref.paths[0]).write_text("jello")
    machines("two")
    with pytest.raises(UserError, match="is damaged: run again"):
        store.locate(get_or_write("other"))
    assert store.locate(get_or_write("hello")).read_text() == "hello"


def test_an_entry_with_a_damaged_remote_record_is_written_again(machines, tmp_path):
    record = shared_record(get_or_write("hello"), tmp_path)
    record.write_bytes(record.read_bytes().replace(b"a.txt", b"a.txu", 1))
    machines("two")
    assert store.locate(get_or_write("hello")).read_text() == "hello"


def test_invalidating_the_cache_applies_to_all_machines(machines):
    get_or_write("old")
    machines("two")
    store.invalidate_cache()
    machines("one")
    assert store.locate(get_or_write("new")).read_text() == "new"


def test_pruning_deletes_local_and_remote_entries(machines, tmp_path):
    first, second = get_or_write("1" * 1000, "first"), get_or_write("2" * 1000, "second")
    for root in (tmp_path / "shared", store.artifacts_root()):
        os.utime(root / Path(first.paths[0]).parent / "ref.json", (1, 1))
    assert store.prune(1500, time.time() + 1) > 2000
    assert [path.parent.name for path in tmp_path.rglob("a.txt")] == [
        Path(second.paths[0]).parent.name
    ] * 2


def test_reading_updates_a_record_older_than_an_hour(machines, tmp_path):
    record = shared_record(get_or_write("hello"), tmp_path)
    os.utime(record, (1, 1))
    get_or_write("hello")
    assert record.stat().st_mtime > time.time() - 60


def test_a_remote_root_requires_a_tracking_server(machines):
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        tracking_uri()


def test_a_url_of_an_unknown_scheme_is_rejected(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "gopher://old/root")
    with pytest.raises(UserError, match="gopher://old/root cannot be opened"):
        store.remote_store()


def test_an_object_store_stores_entries(object_store, tmp_path, monkeypatch):
    for name, value in object_store.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "s3://movies/entries/")
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    ref = get_or_write("hello")
    monkeypatch.chdir(tmp_path / "two")
    assert get_stored() == ref
    assert store.locate(ref).read_text() == "hello"
    assert store.prune(0, time.time() + 1) > 0
    assert store.remote_store().read_record(str(Path(ref.paths[0]).parent)) is None


def test_dask_workers_with_another_disk_share_the_root(machines, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    machines("worker")
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **options) as cluster:
        machines("one")
        compute = Compute("dask", cluster.scheduler_address)
        ref = store.get_or_create(
            "stage", ["k"], Ref, lambda writer: run_chunk(compute, 1, write_text, writer, "hi")
        )
        assert not (store.artifacts_root() / ref.paths[0]).exists()
        assert store.locate(ref).read_text() == "hi"


def test_a_path_is_not_a_url():
    assert not remote.is_url("artifacts/here")
