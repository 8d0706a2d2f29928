"""What the documents say to run: read from their fenced blocks, and done in a checkout of its own.

A block of `bash` holds commands, one of `console` commands after `$ ` with their output; a comment
`exit code 2` behind a command says how it ends. Above a block may stand, as an HTML comment:
`not run: why`, `file: path` (the block is that file) or `change: path` (a diff of lines to add).
"""

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
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import torch
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.cli import SUBCOMMANDS
from flows.cli.app import run
from tests.conftest import ROOT, free_port
from tests.support.trained_root import relocate_database

BLOCK = re.compile(
    r"(?:^<!-- (not run|file|change): (.+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
EXIT_CODE = re.compile(r"# exit code (\d)")
BOX = str.maketrans(dict.fromkeys("┃│┏┓┗┛┡┩└┘━─┳┻╇┴┬┼", " "))
#: Commands that go on until they are ended, and the port that they listen on.
SERVERS = {"mlflow models serve": 5001, "dask scheduler": 8786, "dask worker": None}
#: Subcommands that are run in the tests' own process: each start of one costs seconds of imports.
HERE = {"train", "recommend", "predict", "refresh", "batch", "release"}


@dataclass(frozen=True)
class Step:
    """A command of a page, or a file that the page says to write (`kind` file or change)."""

    kind: str
    text: str
    path: str = ""
    code: int = 0
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    code: int
    output: str


def steps_of(page: str) -> list[Step]:
    """Everything that a page says to do, in order."""
    return [step for block in BLOCK.findall(page) for step in _block(*block)]


def _block(mark: str, what: str, language: str, body: str) -> list[Step]:
    if mark in ("file", "change"):
        return [Step(mark, body, what)]
    if language not in ("bash", "console"):
        return []
    steps = _console(body) if language == "console" else [_command(one) for one in _joined(body)]
    return [Step("not run", step.text, what) for step in steps] if mark else steps


def _joined(body: str) -> list[str]:
    """Lines, those that end in a backslash with the next; comments alone on a line left out."""
    lines = re.sub(r"\\\n\s*", "", body).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _console(body: str) -> list[Step]:
    """Commands after `$ `, with the lines after `> ` that belong to them."""
    whole = re.sub(r"\\\n> ", "", body)
    parts = re.split(r"^\$ ", whole, flags=re.MULTILINE)[1:]
    steps = []
    for part in parts:
        first, *rest = part.splitlines()
        more = list(takewhile(lambda line: line.startswith("> "), rest))
        command = "\n".join([first, *(line[2:] for line in more)])
        steps.append(_command(command, *rest[len(more) :]))
    return steps


def _command(line: str, *output: str) -> Step:
    ending = EXIT_CODE.search(line)
    return Step("run", line, code=int(ending[1]) if ending else 0, output=output)


def comparable(output: str) -> str:
    """Output without the frames and spaces of tables."""
    return " ".join(output.translate(BOX).split())


def promised(output: tuple[str, ...]) -> list[str]:
    """Lines of shown output that every run has: those without figures, and without an omission."""
    lines = [comparable(line) for line in output]
    return [line for line in lines if line and not re.search(r"\d|…", line)]


@dataclass
class Checkout:
    """A copy of the project that commands are executed in, under the environment of a server."""

    folder: Path
    environment: dict[str, str]
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)
    changed: bool = False  # its flows are not the tests' own any more

    def build(self) -> None:
        """Copy the project; its `.venv` is the interpreter's own."""
        for name in ("flows", "tasks", "app", "data", "Makefile", "prefect.yaml", "README.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.folder / name)
        (self.folder / "tests" / "support").mkdir(parents=True)
        for name in ("pyproject.toml", "requirements.lock", "tests/support/stored_files.py"):
            shutil.copy(ROOT / name, self.folder / name)
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
        if step.text.startswith("make "):
            return self.make(step.text)
        return self.call(step.text)

    def write(self, step: Step) -> Done:
        path = self.folder / step.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")
        return Done(0, "")

    def change(self, step: Step) -> Done:
        """Put the lines with `+` behind the line before them, which is in the file once."""
        path = self.folder / step.path
        text = path.read_text(encoding="utf-8")
        for line, added in re.findall(r"^ (.*\n)((?:\+.*\n)+)", step.text, re.MULTILINE):
            assert text.count(f"\n{line}") == 1, f"{step.path}: {line}"
            new = "".join(one[1:] for one in added.splitlines(keepends=True))
            text = text.replace(f"\n{line}", f"\n{line}{new}")
        path.write_text(text, encoding="utf-8")
        self.changed = True
        return Done(0, "")

    def make(self, text: str) -> Done:
        """Execute what a target says."""
        for line in self.recipe(text):
            done = self.call(line)
            if done.code:
                return done
        return done

    def recipe(self, text: str) -> list[str]:
        """The commands of a target, as `make` would execute them."""
        command = ["make", "--no-print-directory", "-n", *shlex.split(text, comments=True)[1:]]
        clean = {name: value for name, value in self.env().items() if not name.startswith("MAKE")}
        said = subprocess.run(
            command, cwd=self.folder, env=clean, capture_output=True, text=True, check=True
        )
        return said.stdout.splitlines()

    def call(self, text: str) -> Done:
        """Execute a command, the flows' own in this process where bash has nothing to add.

        A client of Dask outlives its run, and would miss its scheduler in later tests.
        """
        words = shlex.split(text, comments=True)
        plain = not self.changed and not {">", "|", "&&", "dask"} & set(words)
        if words[0] == ".venv/bin/movie-recommender" and words[1] in HERE and plain:
            return self.run_here(words[1], words[2:])
        done = subprocess.run(
            ["bash", "-c", self.with_ports(text)],
            cwd=self.folder,
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return Done(done.returncode, done.stdout)

    def run_here(self, subcommand: str, arguments: list[str]) -> Done:
        """As `movie-recommender subcommand arguments`, without a start of Python.

        One thread is the fastest for the sample, and two that wait for a busy core the slowest.
        """
        said = io.StringIO()
        torch.set_num_threads(1)
        values = [self.with_ports(argument) for argument in arguments]
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            temporary_settings({PREFECT_API_URL: self.environment["PREFECT_API_URL"]}),
            warnings.catch_warnings(action="ignore"),
        ):
            try:
                run(SUBCOMMANDS[subcommand].function, subcommand, values)
            except SystemExit as end:
                return Done(int(end.code or 0), said.getvalue())

    def serve(self, text: str, port: int | None) -> Done:
        """Start a server; it is up when it listens."""
        process = subprocess.Popen(
            ["bash", "-c", self.with_ports(text)],
            cwd=self.folder,
            env=self.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.servers.append(process)
        while port and not listens(self.port(port)):
            assert process.poll() is None, f"{text} has ended"
            time.sleep(0.2)
        return Done(0, "")

    def end(self) -> None:
        """End every server with all that it started."""
        for process in self.servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def env(self) -> dict[str, str]:
        """Of a command: as in a terminal where nothing of the tests has been set."""
        unset = ("RECOMMENDER_ARTIFACTS", "MLFLOW_TRACKING_URI")
        kept = {name: value for name, value in self.environment.items() if name not in unset}
        here = dict.fromkeys(("PYTHONPATH", "PWD"), str(self.folder))
        return kept | here | {"OMP_NUM_THREADS": "1"}

    def port(self, documented: int) -> int:
        """The free port that stands for one that the documents name."""
        if documented not in self.ports:
            self.ports[documented] = free_port()
        return self.ports[documented]

    def with_ports(self, text: str) -> str:
        """A command with free ports in place of those that it names."""
        named = "|".join(str(port) for port in SERVERS.values() if port)
        return re.sub(rf"(?<=[: ])({named})\b", lambda match: str(self.port(int(match[1]))), text)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def relocated(trained: Checkout, folder: Path) -> Checkout:
    """A copy of a checkout with all that its runs wrote, as if they had been made there."""
    shutil.copytree(trained.folder, folder, symlinks=True, dirs_exist_ok=True)
    database = folder / "artifacts" / "mlflow.db"
    relocate_database(database, before=str(trained.folder), after=str(folder))
    return Checkout(folder, trained.environment)


def spans(page: str) -> Iterator[str]:
    """Inline code of a page, blocks left out."""
    return (code.strip() for code in re.findall(r"`([^`\n]+)`", BLOCK.sub("", page)))
