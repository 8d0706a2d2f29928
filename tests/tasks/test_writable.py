import tempfile
from pathlib import Path

import pytest

from tasks import store, writable
from tasks.contracts import UserError


def test_a_root_that_can_be_made_is_not_made_yet(artifacts):
    store.require_writable()
    assert not artifacts.exists()
    assert list(artifacts.parent.iterdir()) == []


def test_a_root_that_is_a_file_is_refused(artifacts):
    artifacts.touch()
    with pytest.raises(UserError, match=f"{artifacts} is a file, not a folder"):
        store.require_writable()


def test_a_root_that_cannot_be_written_to_is_refused(artifacts, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot be written to \(Permission denied\)"):
        store.require_writable()


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writable, "NEEDED_MB", float("inf"))
    with pytest.raises(UserError, match=r"The disk is full: "):
        writable.require_writable(Path(tmp_path))
