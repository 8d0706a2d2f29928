import pytest

from tasks.core.contracts import UserError
from tasks.core.files import PRIVATE, atomic_write, delete_atomically, require_folder


def test_of_two_writers_the_last_to_finish_replaces_the_file(tmp_path):
    path = tmp_path / "out" / "lists.parquet"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert not path.exists()
    assert path.read_text() == "first"  # its block ended last
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_file_unchanged(tmp_path):
    path = tmp_path / "lists.parquet"
    path.write_text("before")

    @atomic_write(path)
    def fail() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_private_from_its_creation_on(tmp_path):
    path = tmp_path / "password"
    with atomic_write(path, PRIVATE) as new:
        assert new.stat().st_mode & 0o777 == PRIVATE
        new.write_text("hidden")
    assert path.stat().st_mode & 0o777 == PRIVATE


def test_a_root_below_a_file_is_rejected_and_a_missing_root_is_not(tmp_path):
    (tmp_path / "file").touch()
    require_folder(tmp_path / "missing" / "root")
    for root in (tmp_path / "file", tmp_path / "file" / "root"):
        with pytest.raises(UserError, match=f"^{tmp_path}/file is a file, not a folder: set"):
            require_folder(root)


def test_files_and_folders_are_deleted_and_missing_ones_ignored(tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("folder", "file", "nothing"):
        delete_atomically(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
