"""A killed or interrupted run leaves no child process, whatever stage it is in."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tasks.core.locks import is_locked
from tests.conftest import catalogue, write_csv
from tests.support.run_stages import (
    call,
    flags,
    in_doc2vec,
    in_preprocessing,
    reaches,
    started,
    statuses,
    write_source,
)

LONGEST_END = 30  # seconds on a busy machine; what waits for a dead server takes minutes
INTERRUPTED = "Interrupted. Finished stages are kept; run the same command to go on."


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    source = write_source(tmp_path_factory.mktemp("source"))
    return [sys.executable, "-m", "flows.train", "--source", str(source), *flags()]


@pytest.fixture(scope="module")
def home(tmp_path_factory, migrated_database) -> Path:
    """Of Prefect: its database is made once for all tests here, if no other test has made it."""
    folder: Path = tmp_path_factory.mktemp("prefect")
    if migrated_database.exists():
        shutil.copy(migrated_database, folder / "prefect.db")
    return folder


@pytest.fixture
def environment(home, artifacts) -> dict[str, str]:
    """No server is configured: a run starts a temporary one."""
    names = {"RECOMMENDER_ARTIFACTS": str(artifacts), "PREFECT_HOME": str(home)}
    return {name: value for name, value in os.environ.items() if "PREFECT" not in name} | names


@contextmanager
def run(command: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """As from a terminal: the run leads a process group, and no signal is ignored."""
    with started(
        command,
        environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        yield process


@contextmanager
def run_until(
    stage: Callable[[Path], bool], command: list[str], environment: dict[str, str]
) -> "Iterator[subprocess.Popen[str]]":
    """A run that is in a stage."""
    with run(command, environment) as process:
        is_met = reaches(stage, process, Path(environment["RECOMMENDER_ARTIFACTS"]))
        assert is_met, process.communicate(timeout=LONGEST_END)
        yield process


def alive(environment: dict[str, str]) -> list[str]:
    """Commands of the processes that have the artifacts root in their environment."""
    commands = []
    for process in psutil.process_iter():
        try:
            name = process.environ().get("RECOMMENDER_ARTIFACTS")
            if name == environment["RECOMMENDER_ARTIFACTS"]:
                commands.append(" ".join(process.cmdline()))
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return commands


def none_alive_within(seconds: float, environment: dict[str, str]) -> bool:
    deadline = time.monotonic() + seconds
    while alive(environment) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(environment)


def messages(stderr: str) -> list[str]:
    """Lines on stderr that are not Prefect's log."""
    return [line for line in stderr.splitlines() if " | " not in line]


SERVER_OF_A_RUN = """
import time
from flows.runtime.temporary_server import temporary_server
with temporary_server(lambda: None):
    print("up", flush=True)
    time.sleep(600)
"""


def test_the_server_of_a_killed_run_ends(environment):
    command = [sys.executable, "-c", SERVER_OF_A_RUN]
    with started(command, environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == "up"
        assert any("uvicorn" in line for line in alive(environment))
        process.kill()
        process.communicate(timeout=LONGEST_END)
        assert none_alive_within(10, environment), alive(environment)


@pytest.mark.endurance
def test_a_killed_run_leaves_no_process(command, environment):
    with run_until(in_preprocessing, [*command, "--runner", "process"], environment) as process:
        assert any("uvicorn" in line for line in alive(environment))
        assert any("loky" in line for line in alive(environment))
        process.kill()
        process.communicate(timeout=LONGEST_END)
        assert none_alive_within(10, environment), alive(environment)


def test_ctrl_c_ends_a_training_within_seconds(command, environment):
    with run_until(in_doc2vec, command, environment) as process:
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=LONGEST_END)
        assert process.returncode == 130
        assert messages(stderr) == [INTERRUPTED]
        assert statuses(environment) == ["KILLED"]
        assert none_alive_within(10, environment), alive(environment)


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["-m", "flows.recommend"], "| flows\n"),
        (
            ["-c", "from flows.cli.app import main; main()", "recommend"],
            " flows.cli.command_line\n",
        ),
    ],
    ids=["module", "console script"],
)
def test_ctrl_c_while_modules_are_imported_is_one_line(arguments, imported, environment):
    command = [sys.executable, "-X", "importtime", *arguments, "x"]
    with run(command, environment) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")  # ends with the process
        assert any(line.endswith(imported) for line in lines), f"never imported: {imported}"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=LONGEST_END)
    assert process.returncode == 130
    assert [line for line in messages(stderr) if "import time" not in line] == ["Interrupted."]


@pytest.mark.endurance
def test_signals_at_any_moment(command, environment):
    """Ten with -9 and ten interrupts, spread over the whole run, with and without a pool."""
    began = time.monotonic()
    assert call(command, environment).returncode == 0
    duration = time.monotonic() - began
    ask = [sys.executable, "-m", "flows.recommend", "Horror Story 0", "--json"]
    chosen = random.Random(0)  # noqa: S311 - moments, no secrets
    for attempt in range(20):
        moment = duration * (attempt // 2 + chosen.random()) / 10
        number = signal.SIGINT if attempt % 2 else signal.SIGKILL
        runner = "process" if attempt // 2 % 2 else "thread"
        new = ["--doc2vec.seed", str(attempt), "--runner", runner]
        with run([*command, *new], environment) as process:
            time.sleep(moment)
            if process.poll() is not None:
                continue  # it was quicker this time
            sent = time.monotonic()
            os.killpg(process.pid, number)
            _, stderr = process.communicate(timeout=LONGEST_END)
            seconds = time.monotonic() - sent
            last = (stderr.splitlines() or ["nothing"])[-2:]
            print(f"{runner} {number.name} at {moment:.1f} s: {seconds:.1f} s, {last}")
            if number == signal.SIGINT:
                assert process.returncode == 130
                assert messages(stderr)[-1].startswith("Interrupted.")  # MLflow may print before it
                assert "Traceback" not in stderr
            assert none_alive_within(10, environment), alive(environment)
        assert len(json.loads(call(ask, environment).stdout)) == 10  # of whichever is champion
    assert call(command, environment).returncode == 0
    assert "RUNNING" not in statuses(environment)


@pytest.mark.endurance
def test_kills_while_publishing(environment, artifacts, tmp_path):
    """Every run has more movies and is promoted, so each dies somewhere around the alias."""
    lock, chosen = artifacts / "champion.lock", random.Random(1)  # noqa: S311 - moments, no secrets
    ask = [sys.executable, "-m", "flows.recommend", "Horror Story 0", "--json"]

    def training(count: int) -> list[str]:
        source = write_csv(tmp_path / "m.csv", catalogue(count))
        gate = ["--gate.tolerance", "1", "--retention.trainings", "2"]
        return [sys.executable, "-m", "flows.train", "--source", str(source), *flags(), *gate]

    assert call(training(150), environment).returncode == 0
    for attempt in range(10):
        larger = training(151 + attempt)
        with run_until(lambda _: is_locked(lock), larger, environment) as process:
            time.sleep(2 * chosen.random())
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=LONGEST_END)
            assert none_alive_within(10, environment), alive(environment)
        assert len(json.loads(call(ask, environment).stdout)) == 10
    assert call(training(170), environment).returncode == 0
    assert "RUNNING" not in statuses(environment)
    listed = [sys.executable, "-m", "flows.release", "list", "--json"]
    versions = json.loads(call(listed, environment).stdout)["versions"]
    assert versions[0]["role"] == "champion"
    rollback = call([sys.executable, "-m", "flows.release", "rollback"], environment)
    assert rollback.returncode == 0, rollback.stderr
    assert len(json.loads(call(ask, environment).stdout)) == 10
