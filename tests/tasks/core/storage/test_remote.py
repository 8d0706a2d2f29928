"""The store's shared copy, on a folder and on an S3 server."""

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
    """Go to a machine, that is to a folder of its own under the same shared root."""

    def go(name: str) -> None:
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)

    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", (tmp_path / "shared").as_uri())
    (tmp_path / "shared").mkdir()
    go("one")
    return go


def written(writer: store.EntryWriter, text: str) -> Ref:
    (writer.folder / "a.txt").write_text(text)
    return writer.file_ref(Ref, "a.txt")


def kept(text: str, key: str = "k") -> Ref:
    """The entry of `key`, which is `text` unless there is one."""
    return store.get_or_create("stage", [key], Ref, lambda writer: written(writer, text))


def never(writer: store.EntryWriter) -> Ref:
    raise AssertionError("it is there already")


def test_what_one_machine_wrote_another_reads(machines):
    ref = kept("hello")
    machines("two")
    assert store.get_or_create("stage", ["k"], Ref, never) == ref
    assert store.locate(ref).read_text() == "hello"
    assert store.locate(ref).is_relative_to(Path.cwd())


def test_nothing_is_fetched_that_is_not_read(machines):
    kept("hello")
    machines("two")
    store.get_or_create("stage", ["k"], Ref, never)
    assert not store.cache_root().exists()


def test_an_entry_without_its_record_is_written_anew(machines, tmp_path):
    ref = kept("half")
    (tmp_path / "shared" / Path(ref.paths[0]).parent / "ref.json").unlink()
    machines("two")
    assert store.locate(kept("whole")).read_text() == "whole"


def test_a_machine_gives_up_its_own_entry_for_the_shared_one(machines, tmp_path):
    ref = kept("old")
    shutil.rmtree(tmp_path / "shared" / "cache")
    machines("two")
    kept("new")
    machines("one")
    assert store.locate(kept("other")).read_text() == "new"
    assert ref != kept("other")


def test_an_entry_that_was_pruned_elsewhere_is_copied_up_again(machines, tmp_path):
    ref = kept("hello")
    shutil.rmtree(tmp_path / "shared" / "cache")
    assert kept("other") == ref
    machines("two")
    assert store.locate(ref).read_text() == "hello"


def test_what_is_damaged_here_is_fetched_again(machines):
    ref = kept("hello")
    store.locate(ref).write_text("jello")
    assert store.get_or_create("stage", ["k"], Ref, never) == ref
    assert store.locate(ref).read_text() == "hello"


def test_a_damaged_shared_copy_is_refused_and_made_again(machines, tmp_path):
    ref = kept("hello")
    (tmp_path / "shared" / ref.paths[0]).write_text("jello")
    machines("two")
    with pytest.raises(UserError, match="is damaged: run again"):
        store.locate(kept("other"))
    assert store.locate(kept("hello")).read_text() == "hello"


def test_a_damaged_shared_record_is_a_missing_entry(machines, tmp_path):
    record = tmp_path / "shared" / Path(kept("hello").paths[0]).parent / "ref.json"
    record.write_bytes(record.read_bytes().replace(b"a.txt", b"a.txu", 1))
    machines("two")
    assert store.locate(kept("hello")).read_text() == "hello"


def test_what_is_forgotten_on_one_machine_is_forgotten_on_all(machines):
    kept("old")
    machines("two")
    store.invalidate_cache()
    machines("one")
    assert store.locate(kept("new")).read_text() == "new"


def test_pruning_takes_the_least_recently_used_on_both_sides(machines, tmp_path):
    first, second = kept("1" * 1000, "first"), kept("2" * 1000, "second")
    for root in (tmp_path / "shared", store.artifacts_root()):
        os.utime(root / Path(first.paths[0]).parent / "ref.json", (1, 1))
    assert store.prune(1500, time.time() + 1) > 2000
    assert [path.parent.name for path in tmp_path.rglob("a.txt")] == [
        Path(second.paths[0]).parent.name
    ] * 2


def test_a_use_is_remembered_after_an_hour(machines, tmp_path):
    record = tmp_path / "shared" / Path(kept("hello").paths[0]).parent / "ref.json"
    os.utime(record, (1, 1))
    kept("hello")
    assert record.stat().st_mtime > time.time() - 60


def test_a_shared_root_asks_for_a_shared_registry(machines):
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        tracking_uri()


def test_a_url_that_nothing_opens_is_refused(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "gopher://old/root")
    with pytest.raises(UserError, match="gopher://old/root cannot be opened"):
        store.remote_store()


def test_an_object_store_takes_and_gives_entries(object_store, tmp_path, monkeypatch):
    for name, value in object_store.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "s3://movies/entries/")
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    ref = kept("hello")
    monkeypatch.chdir(tmp_path / "two")
    assert store.get_or_create("stage", ["k"], Ref, never) == ref
    assert store.locate(ref).read_text() == "hello"
    assert store.prune(0, time.time() + 1) > 0
    assert store.remote_store().record(str(Path(ref.paths[0]).parent)) is None


@pytest.mark.slow
@pytest.mark.integration
def test_dask_workers_with_a_disk_of_their_own_share_the_root(machines, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    machines("worker")
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **options) as cluster:
        machines("one")
        compute = Compute("dask", cluster.scheduler_address)
        ref = store.get_or_create(
            "stage", ["k"], Ref, lambda writer: run_chunk(compute, 1, written, writer, "hi")
        )
        assert not (store.artifacts_root() / ref.paths[0]).exists()
        assert store.locate(ref).read_text() == "hi"


def test_a_path_is_no_url():
    assert not remote.is_url("artifacts/here")
