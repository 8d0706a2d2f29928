"""A disk that runs full: one sentence, and once there is space the next run completes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.run_stages import call, flags, in_preprocessing, statuses, write_source

pytestmark = [pytest.mark.endurance]
MB = 2**20


@pytest.fixture
def disk(request, tmp_path) -> Iterator[Path]:
    """A disk of its own, of the size that the test asks for."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def command(tmp_path) -> list[str]:
    return [sys.executable, "-m", "flows.train", "--source", str(write_source(tmp_path)), *flags()]


def last_message(stderr: str) -> str:
    return [line for line in stderr.splitlines() if " | " not in line][-1]


@pytest.mark.parametrize("disk", ["3m", "30m"], indirect=True)
def test_a_disk_without_room_for_a_run_is_refused(disk, command, real_server):
    environment = real_server | {"RECOMMENDER_ARTIFACTS": str(disk / "artifacts")}
    refused = call(command, environment)
    assert refused.returncode == 2
    assert f"The disk of {disk} is full" in last_message(refused.stderr)
    subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
    assert call(command, environment).returncode == 0


@pytest.mark.parametrize("disk", ["200m"], indirect=True)
@pytest.mark.parametrize("left_mb", [0, 1, 3])
def test_a_disk_that_fills_during_a_run(disk, left_mb, command, real_server):
    root = disk / "artifacts"
    environment = real_server | {"RECOMMENDER_ARTIFACTS": str(root)}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not in_preprocessing(root):
        assert run.poll() is None
        time.sleep(0.002)
    filler = disk / "filler"
    with suppress(OSError):  # the run takes some of it meanwhile: then it is full
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - left_mb * MB))
    _, stderr = run.communicate(timeout=300)
    assert run.returncode in (1, 2), stderr
    assert last_message(stderr).startswith("The disk is full: "), stderr
    filler.unlink()
    done = call(command, environment)
    assert done.returncode == 0, done.stderr
    assert "RUNNING" not in statuses(environment)
