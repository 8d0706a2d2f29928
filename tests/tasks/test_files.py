import pytest

from tasks.files import discard, replacing


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    path = tmp_path / "out" / "lists.parquet"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert not path.exists()
    assert path.read_text() == "first"  # replaced last
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "lists.parquet"
    path.write_text("before")

    @replacing(path)
    def fail() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_discarded_is_gone_and_may_be_gone_already(tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("folder", "file", "nothing"):
        discard(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
