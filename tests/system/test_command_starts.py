"""The console script: dispatch, help, version and completion."""

import json
import os
import subprocess
import sys
import tomllib
from pkgutil import resolve_name

import pytest
from click.shell_completion import ShellComplete

import flows.cli.app
from flows.cli import MODULES, SUBCOMMANDS
from flows.cli.command_line import config_class
from flows.cli.completion import FLAGS, current_flags, help_program
from flows.runtime import PROGRAM
from tests.conftest import ROOT

ENTRY_POINT = "from flows.cli.app import main; main()"
PRINT_HEAVY = """
import atexit, sys
heavy = ("prefect", "torch", "mlflow", "pandas", "gensim")
atexit.register(lambda: print([name for name in heavy if name in sys.modules]))
"""


def call(*arguments: str, script: str = ENTRY_POINT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)


def completions(*words: str) -> list[str]:
    """Values that a shell offers for the last word."""
    shell = ShellComplete(help_program(), {}, PROGRAM, "_MOVIE_RECOMMENDER_COMPLETE")
    items = shell.get_completions(list(words[:-1]), words[-1])
    return [item.value for item in items if item.type == "plain"]


def test_the_entry_point_is_the_function_of_the_console_script():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (name, target), *others = project["scripts"].items()
    assert name == PROGRAM
    assert resolve_name(target) is flows.cli.app.main
    assert others == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["trian"]])
def test_help_version_and_errors_import_nothing_heavy(arguments):
    assert call(*arguments, script=PRINT_HEAVY + ENTRY_POINT).stdout.splitlines()[-1] == "[]"


def test_help_lists_every_subcommand():
    lines = [line.split() for line in call("--help").stdout.splitlines()]
    listed = [words[0] for words in lines if words and words[0] in SUBCOMMANDS]
    assert listed == list(SUBCOMMANDS)


def test_version_is_the_project_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert call("--version").stdout == f"{PROGRAM}, version {project['version']}\n"


def test_an_unknown_subcommand_suggests_a_similar_one():
    done = call("trian")
    assert done.returncode == 2
    assert "Did you mean 'train'?" in done.stderr


@pytest.mark.parametrize(
    "function", [*(subcommand.function for subcommand in SUBCOMMANDS.values()), *MODULES.values()]
)
def test_every_subcommand_takes_a_config(function):
    assert config_class(resolve_name(function)).__doc__


def test_arguments_reach_the_command_unchanged(monkeypatch):
    calls = list[tuple[str, str, list[str]]]()
    monkeypatch.setattr(flows.cli.app, "run", lambda *call: calls.append(call) or sys.exit(3))
    monkeypatch.setattr(flows.cli.app.interrupts, "install", lambda: None)
    arguments = ["a, b", '["x"]', "null", "--", "-x", "--help"]
    monkeypatch.setattr(sys, "argv", [PROGRAM, "recommend", *arguments])
    with pytest.raises(SystemExit) as caught:
        flows.cli.app.main()
    assert caught.value.code == 3
    program = f"{PROGRAM} recommend"
    assert calls == [(SUBCOMMANDS["recommend"].function, program, arguments)]


@pytest.mark.parametrize(
    ("module", "arguments", "usage"),
    [
        ("flows.recommend", ["--help"], "python -m flows.recommend"),
        ("flows.release", ["--help"], "python -m flows.release"),
        ("flows.stack", ["--help"], "python -m flows.stack"),
        ("flows.clean_cache", ["--help"], "python -m flows.clean_cache"),
    ],
)
def test_a_module_runs_its_command(module, arguments, usage):
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith(f"usage: {usage} ")
    assert done.stderr == ""


def test_subcommands_are_completed():
    assert completions("re") == ["recommend", "refresh", "release"]


def test_flags_of_a_subcommand_are_completed():
    assert completions("train", "--doc2vec.ep") == ["--doc2vec.epochs"]
    assert completions("recommend", "Alien", "--ex") == ["--explain"]


def test_file_names_are_completed_as_values():
    shell = ShellComplete(help_program(), {}, PROGRAM, "_MOVIE_RECOMMENDER_COMPLETE")
    (item,) = shell.get_completions(["train", "--source"], "mov")
    assert (item.type, item.value) == ("file", "mov")


def test_completed_flags_are_those_of_the_configs():
    written = json.loads(FLAGS.read_text(encoding="utf-8"))
    assert written == current_flags(), "python -m flows.cli.completion writes them anew"
