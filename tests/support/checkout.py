"""A copy of the project in which the commands of the documents are executed."""

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
import torch
from dotenv import dotenv_values
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.cli import SUBCOMMANDS
from flows.cli.app import run
from tasks.core import compute
from tests.conftest import ROOT, free_port
from tests.support.documents import Step
from tests.support.prefect_queues import send_queued
from tests.support.shown_output import missing_lines

EXPERIMENT = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=movie-recommender"


class Server(NamedTuple):
    """The documented port of a server, and what of it is asked for before it counts as up."""

    port: int | None = None
    path: str | None = None


#: Commands that go on until they are ended.
SERVERS = {
    "mlflow models serve": Server(5001, "/ping"),
    "dask scheduler": Server(8786),
    "dask worker": Server(),
    "make prefect": Server(4200, "/api/health"),
    "make mlflow": Server(5000, EXPERIMENT),
    "make demo": Server(8000, "/api/genres"),
    "make worker": Server(),
}
#: What a user types whose documented ports are taken.
PORTS_OF_MAKE = {
    "make prefect": "PREFECT_SERVER_API_PORT=4200 make prefect",
    "make mlflow": "MLFLOW_PORT=5000 make mlflow",
    "make demo": 'make demo ARGS="--port 8000"',
    "make serve": 'make serve ARGS="--prefect-port 4200 --mlflow-port 5000"',
}
SECONDS_TO_START = 120
SECONDS_TO_END = 60  # a worker without its server takes 8 on a quiet machine
#: Subcommands that are run in the tests' own process: each start of one costs seconds of imports.
HERE = {"train", "recommend", "predict", "refresh", "batch", "release"}


@dataclass(frozen=True)
class Done:
    code: int
    printed: str = ""
    errors: str = ""

    @property
    def output(self) -> str:
        return f"{self.printed}\n{self.errors}"


@dataclass
class Checkout:
    """A copy of the project that commands are executed in, under the environment of a server."""

    folder: Path
    environment: dict[str, str]
    servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    as_processes: bool = False  # every command is started, none is run in the tests' process

    def build(self) -> None:
        """Copy the project; its `.venv` is the interpreter's own."""
        for name in ("flows", "tasks", "app", "data", "Makefile", "prefect.yaml", "README.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.folder / name)
        (self.folder / "tests" / "support").mkdir(parents=True)
        for name in ("pyproject.toml", "requirements.lock", "tests/support/stored_files.py"):
            shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "architecture.md", self.folder / "docs")
        (self.folder / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (self.folder / ".venv" / name).symlink_to(Path(sys.prefix) / name)
        (self.folder / ".venv" / ".installed").touch()

    def do(self, step: Step) -> Done:
        """Carry a step out."""
        if step.kind == "file":
            return self.write(step)
        if step.kind == "change":
            return self.change(step)
        server = next((name for name in SERVERS if name in step.text), None)
        if server:
            return self.serve(step.text, SERVERS[server])
        if step.text.startswith("source "):
            return self.source(shlex.split(step.text, comments=True)[1])
        if step.text.startswith("make train") and not self.as_processes:
            return self.make_train(step.text)
        return self.call(step.text)

    def write(self, step: Step) -> Done:
        path = self.folder / step.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")
        return Done(0)

    def change(self, step: Step) -> Done:
        """Put the lines with `+` behind the line before them, which is in the file once."""
        path = self.folder / step.path
        text = path.read_text(encoding="utf-8")
        for line, added in re.findall(r"^ (.*\n)((?:\+.*\n)+)", step.text, re.MULTILINE):
            assert text.count(f"\n{line}") == 1, f"{step.path}: {line}"
            new = "".join(one[1:] for one in added.splitlines(keepends=True))
            text = text.replace(f"\n{line}", f"\n{line}{new}")
        path.write_text(text, encoding="utf-8")
        self.as_processes = True  # its flows are not the tests' own any more
        return Done(0)

    def source(self, file: str) -> Done:
        """Set what a file exports for the commands after this one."""
        variables = dotenv_values(self.folder / file)
        self.environment |= {name: str(value) for name, value in variables.items()}
        return Done(0)

    def make_train(self, text: str) -> Done:
        """Execute what the target says, in this process where that is possible."""
        for line in self.recipe(text):
            done = self.call(line)
            if done.code:
                return done
        return done

    def recipe(self, text: str) -> list[str]:
        """The commands of a target, as `make` would execute them."""
        command = ["make", "--no-print-directory", "-n", *shlex.split(text, comments=True)[1:]]
        said = subprocess.run(
            command, cwd=self.folder, env=self.env(), capture_output=True, text=True, check=True
        )
        return said.stdout.splitlines()

    def call(self, text: str) -> Done:
        """Execute a command, the flows' own in this process where bash has nothing to add."""
        words = shlex.split(text, comments=True)
        plain = not self.as_processes and not {">", "|", "&&"} & set(words)
        if words[0] == ".venv/bin/movie-recommender" and words[1] in HERE and plain:
            return self.run_here(words[1], words[2:])
        done = subprocess.run(
            ["bash", "-c", self.with_ports(text)],
            cwd=self.folder,
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=240,
        )
        if text.startswith("make serve"):
            self.require_loopback()
        return Done(done.returncode, done.stdout, done.stderr)

    def run_here(self, subcommand: str, arguments: list[str]) -> Done:
        """As `movie-recommender subcommand arguments`, without a start of Python.

        One thread is the fastest for the sample, and two that wait for a busy core the slowest.
        """
        printed, errors = io.StringIO(), io.StringIO()
        torch.set_num_threads(1)
        values = [self.with_ports(argument) for argument in arguments]
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(errors),
            temporary_settings({PREFECT_API_URL: self.environment["PREFECT_API_URL"]}),
            warnings.catch_warnings(action="ignore"),
        ):
            try:
                run(SUBCOMMANDS[subcommand].function, subcommand, values)
            except SystemExit as end:
                return Done(int(end.code or 0), printed.getvalue(), errors.getvalue())
            finally:
                send_queued()  # as at a program's end

    def serve(self, text: str, server: Server) -> Done:
        """Start a server; it is up when it answers, a worker when Prefect's server knows it."""
        is_worker = text.startswith("make worker")
        workers = self.workers() if is_worker else 0
        process = subprocess.Popen(
            ["bash", "-c", self.with_ports(text)],
            cwd=self.folder,
            env=self.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.servers[text] = process
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.answers(server) or (is_worker and self.workers() == workers):
            assert process.poll() is None, f"{text} has ended"
            assert time.monotonic() < deadline, f"{text} is not ready"
            time.sleep(0.2)
        self.require_loopback()
        return Done(0)

    def require_loopback(self) -> None:
        """No server of this checkout can be reached from another machine."""
        ports = set(self.ports.values())
        addresses = {
            connection.laddr.ip
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
        }
        assert addresses <= {"127.0.0.1"}

    def answers(self, server: Server) -> bool:
        """Whether a server listens and gives what is asked of it."""
        if server.port is None:
            return True
        port = self.port(server.port)
        if server.path is None or not listens(port):
            return listens(port)
        return httpx.get(f"http://127.0.0.1:{port}{server.path}", timeout=60).is_success

    def workers(self) -> int:
        """How many workers have reported to the Prefect server of this checkout."""
        names = (PREFECT_API_URL, PREFECT_API_AUTH_STRING)
        access = {name: self.environment.get(name.name) for name in names}
        with temporary_settings(access), get_client(sync_client=True) as client:
            return len(client.read_workers_for_work_pool("local"))

    def end(self) -> None:
        """End every server and the stack."""
        if 8786 in self.ports:  # a client of Dask would miss its scheduler in later tests
            compute.connect_to_dask(f"tcp://127.0.0.1:{self.port(8786)}").close()
        self.end_servers()
        if (self.folder / "artifacts" / "stack.json").exists():
            pytest.fail(f"the page leaves the stack running: {self.call('make stop').output}")

    def end_servers(self) -> None:
        """End every server as Ctrl+C does; none may leave a process."""
        left = [text for text, process in self.servers.items() if not interrupt(process)]
        self.servers.clear()
        assert left == []

    def env(self) -> dict[str, str]:
        """Of a command: as in a terminal where nothing of the tests has been set."""
        unset = ("RECOMMENDER_ARTIFACTS", "MLFLOW_TRACKING_URI")
        kept = {
            name: value
            for name, value in self.environment.items()
            if name not in unset and not name.startswith("MAKE")
        }
        here = dict.fromkeys(("PYTHONPATH", "PWD"), str(self.folder))
        return kept | here | {"OMP_NUM_THREADS": "1"}

    def port(self, documented: int) -> int:
        """The free port that stands for one that the documents name."""
        if documented not in self.ports:
            self.ports[documented] = free_port()
        return self.ports[documented]

    def with_ports(self, text: str) -> str:
        """A command with free ports in place of those that it names, or listens on unnamed."""
        for command, with_flags in PORTS_OF_MAKE.items():
            text = text.replace(command, with_flags)
        named = "|".join(str(server.port) for server in SERVERS.values() if server.port)
        return re.sub(rf"(?<=[: =])({named})\b", lambda match: str(self.port(int(match[1]))), text)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def interrupt(process: subprocess.Popen[bytes]) -> bool:
    """End a server as Ctrl+C does; whether it and all that it started have ended by themselves."""
    if process.poll() is not None:
        return True
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    os.killpg(process.pid, signal.SIGINT)
    _, alive = psutil.wait_procs(family, SECONDS_TO_END)
    for survivor in alive:
        survivor.kill()
    process.wait()
    return not alive


def check(step: Step, done: Done) -> None:
    """A step ended as the page says, and printed what it shows."""
    assert done.code == step.code, f"{step.text}\n{done.output}"
    assert missing_lines(step.output, done.output) == [], f"{step.text}\n{done.output}"


def at_home(patch: pytest.MonkeyPatch) -> None:
    """Runs write into the checkout that they are started in."""
    patch.delenv("RECOMMENDER_ARTIFACTS", raising=False)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)


def relocated(trained: Checkout, folder: Path) -> Checkout:
    """A copy of a checkout with all that its runs wrote."""
    shutil.copytree(trained.folder, folder, symlinks=True, dirs_exist_ok=True)
    return Checkout(folder, dict(trained.environment))
