"""The remote store on a folder: records, downloads, pruning."""

import os
import time
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from tasks.core.contracts import Ref, UserError
from tasks.core.storage import store
from tasks.core.storage.remote import RemoteStore, open_remote

HOUR = 3600.0


@pytest.fixture(params=["local", "other"])
def remote(request, tmp_path) -> RemoteStore:
    """A store in the test's folder, on the local file system or on another one that leads there."""
    if request.param == "local":
        return RemoteStore(LocalFileSystem(), str(tmp_path))
    return RemoteStore(SubTreeFileSystem(str(tmp_path.parent), LocalFileSystem()), tmp_path.name)


def write_entry(
    folder: Path, name: str, size: int, last_used: float, *, complete: bool = True
) -> Path:
    """An entry of `size` bytes with its record; its file is an hour newer than its record."""
    entry = folder / name
    (entry / "deeper").mkdir(parents=True)
    (entry / "deeper" / "file").write_bytes(b"x" * (size - 10 * complete))
    os.utime(entry / "deeper" / "file", (last_used + HOUR * complete,) * 2)
    if complete:
        (entry / "ref.json").write_bytes(b"r" * 10)
        os.utime(entry / "ref.json", (last_used, last_used))
    return entry


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("cache/*/*"))


def write_three_entries(folder: Path) -> None:
    """100 bytes each, last used at 3000, 1000 and 2000 seconds."""
    for name, last_used in (("a/1", 3000.0), ("b/2", 1000.0), ("b/3", 2000.0)):
        write_entry(folder, f"cache/{name}", size=100, last_used=last_used)


@pytest.mark.parametrize(
    ("max_bytes", "remaining", "freed"),
    [
        (300, ["cache/a/1", "cache/b/2", "cache/b/3"], 0),
        (299, ["cache/a/1", "cache/b/3"], 100),
        (200, ["cache/a/1", "cache/b/3"], 100),
        (199, ["cache/a/1"], 200),
        (0, [], 300),
    ],
)
def test_the_least_recently_used_entries_are_deleted_until_the_limit(
    remote, tmp_path, max_bytes, remaining, freed
):
    write_three_entries(tmp_path)
    assert remote.prune("cache", max_bytes, unused_since=9000.0) == freed
    assert entries(tmp_path) == remaining


@pytest.mark.parametrize(("unused_since", "freed"), [(1000.0, 0), (1001.0, 100), (2001.0, 200)])
def test_entries_used_since_then_are_kept(remote, tmp_path, unused_since, freed):
    write_three_entries(tmp_path)
    assert remote.prune("cache", 0, unused_since) == freed


def test_an_entry_without_a_record_was_used_when_its_newest_file_was_written(remote, tmp_path):
    entry = write_entry(tmp_path, "cache/a/1", size=100, last_used=1000.0, complete=False)
    (entry / "new").touch()
    os.utime(entry / "new", (2000.0, 2000.0))
    assert remote.prune("cache", 0, unused_since=2000.0) == 0
    assert remote.prune("cache", 0, unused_since=2001.0) == 100


def test_other_files_and_hidden_folders_are_neither_counted_nor_deleted(remote, tmp_path):
    for name in ("cache/.locks/a-1", "cache/a/.writing-1", "index/a/1", "cache/a/1/.hidden"):
        write_entry(tmp_path, name, size=100, last_used=1000.0)
    (tmp_path / "cache" / "generation").write_bytes(b"x" * 100)
    (tmp_path / "cache" / "a" / "file").write_bytes(b"x" * 100)
    assert remote.prune("cache", 0, unused_since=9e9) == 0
    assert remote.prune("nothing", 0, unused_since=9e9) == 0


def test_a_text_is_read_as_it_was_written(remote, tmp_path):
    remote.write_text("a.txt", "Amélie")
    assert remote.read_text("a.txt") == (tmp_path / "a.txt").read_text() == "Amélie"
    assert remote.read_text("missing") is None
    (tmp_path / "damaged").write_bytes(b"a\xff")
    assert remote.read_text("damaged") == "a�"


def test_reading_a_record_counts_as_use_after_an_hour(remote, tmp_path):
    now = time.time()
    for name, age in (("old", 1.1 * HOUR), ("new", 0.9 * HOUR)):
        write_entry(tmp_path, name, size=20, last_used=now - age)
        assert remote.read_record(name) == "r" * 10
    ages = [now - (tmp_path / name / "ref.json").stat().st_mtime for name in ("old", "new")]
    assert ages == [pytest.approx(0, abs=60), pytest.approx(0.9 * HOUR, abs=60)]
    assert remote.read_record("missing") is None


def test_a_folder_is_uploaded_with_its_record(remote, tmp_path):
    source = write_entry(tmp_path, "source", size=20, last_used=1.0, complete=False)
    remote.push(source, "cache/a/1", "the record")
    assert (tmp_path / "cache/a/1/ref.json").read_text() == "the record"
    assert (tmp_path / "cache/a/1/deeper/file").read_bytes() == b"x" * 20


def test_a_damaged_download_is_an_error_and_leaves_nothing(remote, tmp_path):
    write_entry(tmp_path, "cache/a/1", size=20, last_used=1.0)
    target = tmp_path / "local" / "cache" / "1"
    with pytest.raises(UserError, match="cache/a/1 is damaged: run again, then it is computed"):
        remote.pull("cache/a/1", target)
    assert list(target.parent.iterdir()) == []
    assert remote.read_record("cache/a/1") is None


@pytest.fixture
def stored(remote, tmp_path, monkeypatch) -> RemoteStore:
    """A remote store with the complete entry `cache/a/KEY`, whose local copy was deleted."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path))

    def write(writer: store.EntryWriter) -> Ref:
        (writer.folder / "deeper").mkdir()
        (writer.folder / "deeper" / "file").write_text("content")
        return writer.folder_ref(Ref)

    store.get_or_create("a", ["key"], Ref, write)
    return remote


def entry_name(folder: Path) -> str:
    (entry,) = folder.glob("cache/a/*")
    return str(entry.relative_to(folder))


def test_a_download_is_a_copy_of_the_entry_in_new_folders(stored, tmp_path):
    target = tmp_path / "local" / "cache" / "key"
    stored.pull(entry_name(tmp_path), target)
    assert (target / "deeper" / "file").read_text() == "content"
    assert [path.name for path in target.parent.iterdir()] == ["key"]
    assert stored.read_record(entry_name(tmp_path)) == (target / "ref.json").read_text()


def test_an_entry_that_another_thread_has_downloaded_is_kept(stored, tmp_path):
    target = tmp_path / "local" / "cache" / "key"
    for _ in range(2):
        stored.pull(entry_name(tmp_path), target)
    assert [path.name for path in target.parent.iterdir()] == ["key"]


def test_a_download_that_cannot_be_put_in_place_is_an_error(stored, tmp_path):
    target = tmp_path / "local" / "key"
    target.mkdir(parents=True)
    (target / "another").touch()
    with pytest.raises(OSError, match="not empty"):
        stored.pull(entry_name(tmp_path), target)
    assert [path.name for path in target.parent.iterdir()] == ["key"]


def test_a_download_with_a_changed_file_is_damaged(stored, tmp_path):
    (tmp_path / entry_name(tmp_path) / "deeper" / "file").write_text("CONTENT")
    with pytest.raises(UserError, match="is damaged"):
        stored.pull(entry_name(tmp_path), tmp_path / "local" / "key")


def test_a_folder_is_opened_by_its_url(tmp_path):
    assert open_remote(tmp_path.as_uri()).base == str(tmp_path)
    with pytest.raises(UserError, match=r"RECOMMENDER_ARTIFACTS: gopher://x cannot be opened \("):
        open_remote("gopher://x")
