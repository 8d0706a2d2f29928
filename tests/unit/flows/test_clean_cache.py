"""`make clean-cache` deletes what is not in use, and only on this machine."""

import os
from pathlib import Path

from flows.clean_cache import CleanCacheConfig, command
from tasks.core.contracts import Ref
from tasks.core.storage import store


def write(writer: store.EntryWriter) -> Ref:
    (writer.folder / "part").write_text("x" * 2_000_000)
    return writer.file_ref(Ref, "part")


def an_old_entry() -> Path:
    file = store.locate(store.get_or_create("stage", ["old"], Ref, write))
    os.utime(file.with_name("ref.json"), (1000, 1000))
    return file


def test_what_is_being_written_stays(capsys):
    old = an_old_entry()

    def clean_and_write(writer: store.EntryWriter) -> Ref:
        ref = write(writer)
        assert command(CleanCacheConfig()) == 0
        return ref

    written = store.get_or_create("stage", ["new"], Ref, clean_and_write)
    assert not old.exists()
    assert store.locate(written).exists()
    assert capsys.readouterr().out == f"2 MB deleted from {store.cache_root()}.\n"


def test_a_shared_root_keeps_what_other_machines_use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", f"file://{tmp_path}/shared")
    old = an_old_entry()
    command(CleanCacheConfig())
    assert not old.exists()
    assert len(list((tmp_path / "shared" / "cache" / "stage").iterdir())) == 1


def test_there_may_be_no_cache_yet():
    assert command(CleanCacheConfig()) == 0
