"""The console script: dispatch, help, version and completion."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pkgutil import resolve_name

import pytest
from click.shell_completion import ShellComplete

import flows.cli.app
from flows.cli import EVERYDAY_FLAGS, MODULES, SUBCOMMANDS
from flows.cli.command_line import config_class
from flows.cli.completion import FLAGS, current_flags, help_program
from flows.runtime import PROGRAM
from tests.conftest import ROOT

ENTRY_POINT = "from flows.cli.app import main; main()"
PRINT_HEAVY = """
import atexit, sys
heavy = ("prefect", "torch", "mlflow", "pandas", "gensim", "pyarrow", "pydantic")
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


REFUSED = [
    ["trian"],
    ["train", "--epoch", "3"],
    ["train", "--preset", "blogg"],
    ["train", "--source"],
]
HELP = [["--help"], ["--version"], ["help", "train"], ["train", "-h"], ["refresh", "--help-all"]]


@pytest.mark.parametrize("arguments", [*REFUSED, *HELP], ids=" ".join)
def test_help_version_and_errors_import_nothing_heavy(arguments):
    assert call(*arguments, script=PRINT_HEAVY + ENTRY_POINT).stdout.splitlines()[-1] == "[]"


def test_help_lists_every_subcommand():
    lines = [line.split() for line in call("--help").stdout.splitlines()]
    listed = [words[0] for words in lines if words and words[0] in SUBCOMMANDS]
    assert listed == list(SUBCOMMANDS)


def test_version_is_the_project_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert call("--version").stdout == f"{PROGRAM}, version {project['version']}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["recomend", "Alien"], "No such command 'recomend'. Did you mean 'recommend'?"),
        (
            ["train", "--epoch", "3"],
            "--epoch: no such flag. Did you mean --doc2vec.epochs or --classifier.epochs?",
        ),
        (["recommend", "Alien", "--limt=3"], "--limt: no such flag. Did you mean --limit?"),
        (["train", "--source"], "--source: a value is missing (TEXT)."),
        (
            ["train", "--preset", "--refresh"],
            "--preset: a value is missing (default|blog|blog-tuned).",
        ),
        (
            ["train", "--preset", "blogg"],
            "--preset: 'blogg' is not one of 'default', 'blog', 'blog-tuned'.",
        ),
        (["train", "--doc2vec.epochs", "0"], "--doc2vec.epochs: 0 is not in the range x>=1."),
        (["demo", "--port", "x"], "--port: 'x' is not a valid integer."),
        (
            ["predict", "Vertical", "Limit"],
            "Limit: unexpected argument. A text with spaces needs quotes. "
            "Usage: movie-recommender predict [FLAGS] [TITLE]",
        ),
        (
            ["train", "movies.csv"],
            "movies.csv: unexpected argument. Usage: movie-recommender train [FLAGS]",
        ),
        (
            ["refresh"],
            "FILE is missing. Usage: movie-recommender refresh [FLAGS] FILE",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_on_the_command_line_is_one_sentence(arguments, sentence):
    done = call(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{sentence}\n")


def test_credentials_in_a_mistyped_argument_are_not_printed():
    assert "secret" not in call("train", "https://me:secret@host/m.csv").stderr


def test_help_of_a_command_with_many_flags_shows_a_dozen():
    shown = re.findall(r"^  (--[a-z0-9.-]+)", call("train", "--help").stdout, re.MULTILINE)
    assert shown == [*EVERYDAY_FLAGS["train"], "--debug", "--help-all"]
    assert len(shown) <= 15


def test_all_flags_are_shown_under_a_heading_for_each_stage():
    text = call("train", "--help-all").stdout
    described = json.loads(FLAGS.read_text(encoding="utf-8"))["train"]
    assert all(f"  {flag['name']} " in text for flag in described["flags"])
    assert all(f"\n{stage} (" in text for stage in described["stages"])


def test_flags_of_stages_are_in_help_all_of_every_command():
    assert "--ingest.encoding" not in call("validate", "--help").stdout
    assert "--ingest.encoding" in call("validate", "--help-all").stdout


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_has_types_in_words(name):
    text = call(name, "--help-all").stdout
    assert re.findall(r"list\[|tuple\[|Annotated|Literal|Optional|\{", text) == []


def test_flags_in_help_and_completion_have_one_spelling():
    flags = [flag["name"] for one in current_flags().values() for flag in one["flags"]]
    assert [flag for flag in flags if "_" in flag] == []


def test_every_everyday_flag_exists():
    flags = json.loads(FLAGS.read_text(encoding="utf-8"))
    for command, names in EVERYDAY_FLAGS.items():
        assert {flag["name"] for flag in flags[command]["flags"]} >= set(names)


def test_help_with_a_closed_output_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", ENTRY_POINT, "train", "--help-all"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_fits_into_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, call("train", "--help").stdout.splitlines())) <= 60


def test_without_arguments_the_help_is_printed_and_the_code_is_2():
    done = call()
    assert done.returncode == 2
    assert "Usage: movie-recommender" in done.stderr


@pytest.mark.parametrize("function", [one.function for one in (SUBCOMMANDS | MODULES).values()])
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
    assert done.stdout.startswith(f"Usage: {usage} [FLAGS]")
    assert done.stderr == ""


def test_subcommands_are_completed():
    assert completions("re") == ["recommend", "refresh", "release"]


def test_flags_of_a_subcommand_are_completed():
    assert completions("train", "--doc2vec.ep") == ["--doc2vec.epochs"]
    assert completions("recommend", "Alien", "--ex") == ["--explain"]
    assert completions("predict", "--top") == ["--top-n"]


def test_choices_are_completed():
    assert completions("train", "--preset", "blog") == ["blog", "blog-tuned"]


def test_file_names_are_completed_as_values():
    shell = ShellComplete(help_program(), {}, PROGRAM, "_MOVIE_RECOMMENDER_COMPLETE")
    (item,) = shell.get_completions(["train", "--source"], "mov")
    assert (item.type, item.value) == ("file", "mov")


def test_completed_flags_are_those_of_the_configs():
    written = json.loads(FLAGS.read_text(encoding="utf-8"))
    assert written == current_flags(), "python -m flows.cli.completion writes them anew"
