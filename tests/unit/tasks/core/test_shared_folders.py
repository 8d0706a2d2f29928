import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import shared_folders
from tasks.core.contracts import UserError
from tasks.core.shared_folders import require_shared, share_new_files
from tests.support.patched_module import patch_import


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of_a_new_file(folder: Path) -> int:
    (folder / "new").touch()
    return (folder / "new").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o2775, 0o664), (0o775, 0o644), (0o2755, 0o644), (0o755, 0o644)]
)
def test_new_files_are_the_group_s_where_the_root_is(mode, expected, tmp_path):
    tmp_path.chmod(mode)
    share_new_files(tmp_path / "artifacts")  # its nearest parent that exists
    assert mode_of_a_new_file(tmp_path) == expected


def test_what_others_may_do_is_not_changed(tmp_path):
    os.umask(0o077)
    tmp_path.chmod(0o2775)
    share_new_files(tmp_path)
    assert mode_of_a_new_file(tmp_path) == 0o660


@pytest.fixture
def denied(monkeypatch) -> set[str]:
    """Names of files that this user may not write."""
    names = set[str]()
    patch_import(monkeypatch, shared_folders, "os", access=lambda path, _: path.name not in names)
    return names


def test_a_part_that_another_user_has_written_is_named_with_the_commands_that_share_it(
    denied, tmp_path
):
    root = tmp_path / "its root"
    (root / "mlruns").mkdir(parents=True)
    require_shared(root)
    denied.add("mlruns")
    with pytest.raises(UserError, match=r"mlruns belongs to .* by you.* find '.*its root' -type d"):
        require_shared(root)


def test_a_file_that_is_private_needs_no_sharing(denied, tmp_path):
    (tmp_path / "stack.env").touch(0o600)
    denied.add("stack.env")
    require_shared(tmp_path)
    (tmp_path / "stack.env").chmod(0o640)
    with pytest.raises(UserError, match=r"stack\.env belongs to"):
        require_shared(tmp_path)


def test_a_root_that_is_missing_is_nobody_s(tmp_path):
    require_shared(tmp_path / "missing")
