import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tasks.core import processes
from tests.conftest import ROOT

CHILD = "import os, time; from tasks.core.processes import end_with_parent; "
CHILD += "end_with_parent(os.getppid()); print(os.getpid(), flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_the_name_of_a_process_is_stable_and_finds_it():
    name = processes.process_name()
    process = processes.find_process(name)
    assert process is not None
    assert process.pid == os.getpid()
    assert processes.process_name() == name


def test_a_process_with_a_reused_id_is_not_found():
    assert processes.find_process(f"{os.getpid()} 2001-01-01T00:00:00+00:00") is None
    assert processes.find_process(f"{os.getpid()} another-boot:1") is None


@pytest.mark.parametrize("name", ["", "12", "worker 1", "-1 start", f"{10**20} start"])
def test_a_damaged_name_finds_no_process(name):
    assert processes.find_process(name) is None


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_processes_that_ignore_the_signal_are_killed_with_their_children():
    command = [sys.executable, "-c", STUBBORN]
    parents = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    children = [int(parent.stdout.readline()) for parent in parents if parent.stdout]
    roots = [psutil.Process(parent.pid) for parent in parents]
    processes.end_trees(roots, signal.SIGINT, limit_seconds=0.2)
    assert [parent.poll() is None for parent in parents] == [False, False]
    assert not any(is_running(child) for child in children)
    processes.end_trees(roots, signal.SIGINT, limit_seconds=0.2)  # ended processes are ignored


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_names_of_earlier_versions_are_still_found():
    process = psutil.Process()
    name = f"{process.pid} {processes._start_time(process)}"
    assert processes.find_process(name) == process


@pytest.mark.skipif(not processes.BOOT_ID.exists(), reason="Linux only")
def test_setting_the_clock_does_not_change_a_name(monkeypatch):
    name = processes.process_name()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0.0)
    assert processes.find_process(name) is not None


def test_a_child_ends_after_its_parent_is_killed():
    command = [sys.executable, "-c", PARENT]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
