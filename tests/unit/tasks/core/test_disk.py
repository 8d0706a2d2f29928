import errno
import sqlite3
from pathlib import Path

import pytest

from tasks.core import disk
from tasks.core.contracts import UserError
from tasks.core.disk import full_disk_message
from tasks.core.storage import store
from tests.support.patched_module import patch_import


def test_checking_a_missing_root_does_not_create_it(artifacts):
    store.require_writable()
    assert not artifacts.exists()
    assert list(artifacts.parent.iterdir()) == []


def test_a_root_that_is_a_file_is_rejected(artifacts):
    artifacts.touch()
    with pytest.raises(UserError, match=f"{artifacts} is a file, not a folder"):
        store.require_writable()


def test_a_root_without_write_permission_is_rejected(artifacts, monkeypatch):
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    patch_import(monkeypatch, disk, "tempfile", NamedTemporaryFile=deny)
    with pytest.raises(UserError, match=r"cannot be written to \(Permission denied\)"):
        store.require_writable()


def test_a_full_disk_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "MIN_FREE_MB", float("inf"))
    with pytest.raises(UserError, match=r"The disk of .* is full"):
        disk.require_writable(Path(tmp_path))


FULL_DISK_ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 351 vs 350"),
    RuntimeError("LanceError(IO): Generic LocalFileSystem error: ... (os error 28)"),
]


@pytest.mark.parametrize("error", FULL_DISK_ERRORS, ids=str)
def test_a_full_disk_error_becomes_a_message_with_advice(error, tmp_path):
    message = full_disk_message(error, tmp_path / "not" / "there")
    assert message is not None
    assert message.startswith("The disk is full: ")
    assert "make clean-cache" in message


def test_the_cause_of_an_error_is_checked_too(tmp_path):
    error = ValueError("cannot write")
    error.__cause__ = FULL_DISK_ERRORS[0]
    assert full_disk_message(error, tmp_path)


def test_another_error_is_not_a_full_disk(tmp_path):
    assert full_disk_message(ValueError("bad"), tmp_path) is None


def test_any_error_on_a_disk_without_space_is_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.core.disk._free_bytes", lambda folder: 1000)
    assert full_disk_message(ValueError("bad"), tmp_path)


def test_deleting_the_cache_is_advised_only_if_it_is_on_the_full_disk(tmp_path, monkeypatch):
    root, home = tmp_path / "artifacts", tmp_path / "home"
    monkeypatch.setattr(disk, "_free_bytes", lambda folder: 1000 if folder == home else 10**9)
    same_disk = full_disk_message(FULL_DISK_ERRORS[0], root, home)
    monkeypatch.setattr(disk, "_disk_of", hash)
    other_disk = full_disk_message(FULL_DISK_ERRORS[0], root, home)
    assert "make clean-cache" in str(same_disk)
    assert f"{home}. Free space there, then run" in str(other_disk)


def test_a_url_that_cannot_be_opened_is_rejected(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "nothing://bucket/folder")
    with pytest.raises(UserError, match="nothing://bucket/folder cannot be opened"):
        store.require_writable()
