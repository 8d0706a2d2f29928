"""A disk that runs full: one sentence, and once there is space the next run completes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.stages import call, flags, statuses, write_source

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.endurance]


@pytest.fixture(params=["3m", "5m", "7m"])
def small_disk(request, tmp_path) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(small_disk, tmp_path, real_server):
    environment = real_server | {"RECOMMENDER_ARTIFACTS": str(small_disk / "artifacts")}
    source = write_source(tmp_path)
    command = [sys.executable, "-m", "flows.train", "--source", str(source), *flags()]
    full = call(command, environment)
    assert full.returncode == 1, full.stderr
    last = [line for line in full.stderr.splitlines() if " | " not in line][-1]
    assert last.startswith("The disk is full: ")
    subprocess.run(["mount", "-o", "remount,size=500m", str(small_disk)], check=True)
    done = call(command, environment)
    assert done.returncode == 0, done.stderr
    assert "RUNNING" not in statuses(environment)
