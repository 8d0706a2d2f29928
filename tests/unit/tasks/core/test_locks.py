import os
import subprocess
import sys
import threading

import pytest

from tasks.core.contracts import UserError
from tasks.core.locks import file_lock

HOLD = """
import sys, time
from pathlib import Path
from tasks.core.locks import file_lock
with file_lock(Path(sys.argv[1]), "test", 5):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_error_at_the_time_limit_names_the_holder(tmp_path):
    path = tmp_path / "some.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    message = f"process {holder.pid} on .* still holds"
    with pytest.raises(UserError, match=message), file_lock(path, "write", 0.2):
        pass
    holder.kill()
    holder.wait()
    with file_lock(path, "write", 5):
        assert str(os.getpid()) in path.read_text()


def test_only_one_thread_holds_the_lock(tmp_path):
    inside, counts = [], []

    def enter() -> None:
        with file_lock(tmp_path / "x.lock", "count", 10):
            inside.append(1)
            counts.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 8
