"""An artifacts root that the commit before has written is used by this one."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.run_stages import call, flags, write_source


@pytest.fixture
def commit_before(tmp_path) -> Path:
    """A folder with the files of the commit before; without a history the test is skipped."""
    archive = subprocess.run(
        ["git", "archive", "HEAD~1"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip("no commit before this one is here")
    folder = tmp_path / "before"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.mark.endurance
def test_a_root_of_the_commit_before_answers_is_retrained_and_rolled_back(
    commit_before, tmp_path, artifacts, real_server
):
    environment = real_server | {"RECOMMENDER_ARTIFACTS": str(artifacts)}
    train = [sys.executable, "-m", "flows.train", "--source", str(write_source(tmp_path)), *flags()]
    recommend = [sys.executable, "-m", "flows.recommend", "Horror Story 3", "--json"]
    release = [sys.executable, "-m", "flows.release", "--json"]

    before = environment | {"PYTHONPATH": str(commit_before)}
    assert call(train, before, cwd=commit_before).returncode == 0
    first = call(recommend, before, cwd=commit_before)
    now = environment | {"PYTHONPATH": str(ROOT)}
    answer = call(recommend, now)
    assert (answer.returncode, answer.stderr) == (0, first.stderr)
    assert json.loads(answer.stdout) == json.loads(first.stdout)

    trained = call([*train, "--doc2vec.seed=2", "--gate.tolerance=1"], now)
    assert trained.returncode == 0, trained.stderr
    assert call([*release, "promote", "2"], now).returncode == 0
    rolled_back = call([*release, "rollback"], now)
    assert rolled_back.returncode == 0, rolled_back.stderr
    roles = {row["version"]: row["role"] for row in json.loads(rolled_back.stdout)["versions"]}
    assert roles == {"2": "previous", "1": "champion"}
    assert json.loads(call(recommend, now).stdout) == json.loads(first.stdout)
