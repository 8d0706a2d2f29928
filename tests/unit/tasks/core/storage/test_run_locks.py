import os
import shutil
import subprocess
import sys

import pytest

from tasks.core.contracts import UserError
from tasks.core.storage import run_locks, store
from tasks.core.storage.run_locks import (
    hold_run_lock,
    is_running,
    release_run_lock,
    runs_of_other_processes,
)
from tests.support.run_processes import process_with_run

ASK = "from tasks.core.storage.run_locks import is_running; print(is_running('run'))"
NEW_NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]


@pytest.fixture
def other_process(artifacts):
    """A process that holds the lock of `run`."""
    with process_with_run("run") as process:
        yield process


def test_a_run_is_running_until_its_process_is_killed(other_process):
    assert is_running("run") is True
    other_process.kill()
    other_process.wait()
    assert is_running("run") is False


def test_a_run_does_not_take_place_twice(other_process, monkeypatch):
    monkeypatch.setattr(run_locks, "ACQUIRE_SECONDS", 0.1)
    with pytest.raises(UserError, match="The flow run run runs already"):
        hold_run_lock("run")


def test_a_run_is_running_for_another_container_on_the_same_root(other_process):
    """There the process has no number, or another process has it."""
    if not shutil.which("unshare") or subprocess.run([*NEW_NAMESPACE, "true"]).returncode:
        pytest.skip("mounting is not allowed here")
    asked = subprocess.run(
        [*NEW_NAMESPACE, sys.executable, "-c", ASK], capture_output=True, text=True, check=True
    )
    assert asked.stdout == "True\n"


def test_runs_of_other_processes_are_those_whose_lock_is_held_elsewhere(other_process):
    hold_run_lock("own")
    hold_run_lock("ended")
    release_run_lock("ended")
    assert runs_of_other_processes() == ["run"]
    release_run_lock("own")


def test_a_process_holds_the_lock_of_its_run_through_retries_until_it_releases_it(artifacts):
    hold_run_lock("run")
    hold_run_lock("run")
    assert is_running("run") is True
    release_run_lock("run")
    release_run_lock("run")
    assert is_running("run") is False


def test_nothing_is_known_of_a_run_without_a_lock_in_this_root(artifacts):
    assert is_running("run") is None
    assert not artifacts.exists()


def test_what_a_run_has_read_is_not_pruned_while_it_runs(artifacts):
    hold_run_lock("run")
    (lock,) = (artifacts / "cache" / ".locks").iterdir()
    os.utime(lock, (1000.0, 1000.0))
    assert store.oldest_writer_start() == 1000.0
    release_run_lock("run")
    assert store.oldest_writer_start() > 1000.0
