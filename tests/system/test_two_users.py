"""Two users of one artifacts root: as members of its group, as strangers to it."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import write_csv
from tests.support.new_movies import NEW

ALICE, BOB, EVE = 20_001, 20_002, 20_003  # ids of users
TEAM = 20_100  # id of the group of Alice and Bob


def become(user: int) -> list[str]:
    """The words before a command that run it as a user who may read all files."""
    group = user if user == EVE else TEAM
    ids = ["--reuid", str(user), "--regid", str(user), "--groups", str(group)]
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", *ids, *reading]


def can_become_another_user() -> bool:
    """Whether this process is root's, with the capabilities of it."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return False
    return not subprocess.run([*become(EVE), "true"], capture_output=True, check=False).returncode


pytestmark = pytest.mark.long
needs_users = pytest.mark.skipif(
    not can_become_another_user(), reason="only root can be another user"
)


class SharedRoot:
    """An artifacts root of Alice, and commands of users who may read this checkout."""

    def __init__(self, folder: Path, root: Path, server: dict[str, str]) -> None:
        self.folder, self.root = folder, root
        for path in (root, *root.rglob("*")):
            os.chown(path, ALICE, ALICE, follow_symlinks=False)
        for parent in (folder, *folder.parents):  # pytest's folders are its user's alone
            parent.chmod(parent.stat().st_mode | 0o055)
        self.server = {"PREFECT_API_URL": server["PREFECT_API_URL"]}

    def run(self, user: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this project as a user with the usual umask."""
        home = self.folder / f"home-{user}"
        home.mkdir(exist_ok=True)
        os.chown(home, user, user)
        environment = os.environ | self.server | {"HOME": str(home), "TMPDIR": str(home)}
        environment |= {"RECOMMENDER_ARTIFACTS": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"PREFECT_HOME": str(home / ".prefect"), "MPLCONFIGDIR": str(home)}
        return subprocess.run(
            [*become(user), sys.executable, "-m", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            umask=0o022,
            check=False,
        )

    def contents(self) -> list[Path]:
        return sorted(self.root.rglob("*"))


@pytest.fixture
def shared(trained_root, tmp_path, real_server) -> SharedRoot:
    return SharedRoot(tmp_path, trained_root.artifacts, real_server)


@needs_users
def test_users_are_served_as_members_of_the_root_s_group_or_refused_at_once(shared, tmp_path):
    new = write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])
    refresh = ["flows.refresh", str(new), "--retention.trainings=1"]
    assert shared.run(ALICE, *refresh).returncode == 0
    before = shared.contents()

    assert shared.run(EVE, "flows.recommend", "Ghost of the Ranch").returncode == 0
    refused = shared.run(BOB, *refresh)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "cannot be written to (Permission denied)" in refused.stderr

    os.chown(shared.root, ALICE, TEAM)
    shared.root.chmod(0o2775)  # the folder is shared, but not what is in it
    refused = shared.run(BOB, *refresh)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "belongs to user 20001 and cannot be written to by you" in refused.stderr
    assert shared.contents() == before

    commands = refused.stderr.partition("have it shared: ")[2].replace("GROUP", str(TEAM))
    subprocess.run(commands, shell=True, check=True)  # noqa: S602
    for user, arguments in ((BOB, refresh), (ALICE, ["flows.release", "rollback"])):
        done = shared.run(user, *arguments)
        assert done.returncode == 0, (user, arguments, done.stderr)
        assert "Clean-up failed" not in done.stderr
    assert {path.lstat().st_uid for path in shared.contents()} == {ALICE, BOB}
    folders = [path for path in shared.contents() if path.is_dir()]
    assert not [path for path in folders if not path.stat().st_mode & stat.S_IWGRP]
    assert (shared.root / "mlflow.db").stat().st_mode & stat.S_IWGRP


def test_a_database_in_a_shared_root_is_its_group_s(tmp_path, monkeypatch):
    """SQLite itself creates its files without access for the group."""
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o2775)
    script = "from tasks.registry.tracking.mlflow_client import connect; connect()"
    environment = os.environ | {"RECOMMENDER_ARTIFACTS": str(root)}
    subprocess.run([sys.executable, "-c", script], env=environment, umask=0o022, check=True)
    assert (root / "mlflow.db").stat().st_mode & 0o777 == 0o664
