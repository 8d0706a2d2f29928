import errno
import sqlite3

import pytest

from tasks.disk import full_disk_message

FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 351 vs 350"),
    RuntimeError("LanceError(IO): Generic LocalFileSystem error: ... (os error 28)"),
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_full_disk_is_said_in_one_sentence(error, tmp_path):
    message = full_disk_message(error, [tmp_path / "not" / "there"])
    assert message is not None
    assert message.startswith("The disk is full: ")
    assert "make clean-cache" in message


def test_the_cause_of_an_error_counts(tmp_path):
    error = ValueError("cannot write")
    error.__cause__ = FULL[0]
    assert full_disk_message(error, [tmp_path])


def test_another_error_is_not_taken_for_a_full_disk(tmp_path):
    assert full_disk_message(ValueError("bad"), [tmp_path]) is None


def test_any_error_is_where_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.disk._free_bytes", lambda folder: 1000)
    assert full_disk_message(ValueError("bad"), [tmp_path])
