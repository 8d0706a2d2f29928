import errno
import logging
import os
import sys

import pytest
from rich.console import Console

from flows.cli.command_line import _OneSentence, main, parse
from flows.cli.recommend import RecommendConfig
from flows.config import TrainConfig
from flows.release import ReleaseConfig
from tasks.core.contracts import UserError


def run(monkeypatch, arguments, command) -> int:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as caught:
        main(TrainConfig, "program", command)
    return int(caught.value.code)


def fail_with(error: Exception):
    def command(config: TrainConfig) -> int:
        raise error

    return command


def test_flags_reach_the_stage_that_owns_them():
    config = parse(TrainConfig, "p", ["--preset", "blog", "--doc2vec.epochs", "20"])
    assert (config.preset, config.doc2vec.epochs, config.doc2vec.restarts) == ("blog", 20, 10)
    assert type(config) is TrainConfig


def test_null_and_lists_can_be_given():
    arguments = ["--classifier.patience", "null", "--classifier.hidden", "8,4"]
    config = parse(TrainConfig, "p", arguments)
    assert config.classifier.patience is None
    assert config.classifier.hidden == (8, 4)


def test_the_environment_does_not_change_a_run(monkeypatch):
    monkeypatch.setenv("SOURCE", "elsewhere.csv")
    monkeypatch.setenv("DOC2VEC", '{"epochs": 1}')
    assert parse(TrainConfig, "p", []) == TrainConfig()


def test_a_title_with_dashes_and_quotes_is_a_title():
    config = parse(RecommendConfig, "p", ["x' OR '1'='1", "--year", "1979", "--json"])
    assert (config.titles, config.year, config.as_json) == (["x' OR '1'='1"], 1979, True)


def test_exit_codes(monkeypatch, capsys):
    assert run(monkeypatch, [], lambda _: 0) == 0
    assert run(monkeypatch, [], fail_with(UserError("No such file: m.csv."))) == 2
    assert capsys.readouterr().err == "No such file: m.csv.\n"
    assert run(monkeypatch, [], fail_with(RuntimeError("broken"))) == 1
    assert capsys.readouterr().err == ("Failed: broken (RuntimeError; --debug shows where).\n")


def test_a_full_disk_says_what_to_do(monkeypatch, capsys):
    error = OSError(errno.ENOSPC, "No space left on device")
    assert run(monkeypatch, [], fail_with(error)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The disk is full: ")


def test_a_value_out_of_bounds_names_its_flag(monkeypatch, capsys):
    assert run(monkeypatch, ["--doc2vec.epochs", "0"], lambda _: 0) == 2
    assert "--doc2vec.epochs: Input should be greater than or equal to 1" in capsys.readouterr().err


def test_settings_that_do_not_go_together_are_named_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["release", "promote"])
    with pytest.raises(SystemExit) as caught:
        main(ReleaseConfig, "release", lambda _: 0)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "promote takes 1 version, got 0.\n"


def print_much(config: TrainConfig) -> int:
    print("Training", flush=True)
    print("x" * 100_000)
    Console().print("Done")
    print("Next")
    return 0


def test_a_command_succeeds_where_nobody_reads_what_it_prints(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert run(monkeypatch, [], print_much) == 0


def test_a_command_succeeds_without_a_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert run(monkeypatch, [], print_much) == 0


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program", "--debug"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(UserError):
        main(TrainConfig, "program", fail_with(UserError("no")))


def test_the_log_keeps_a_users_mistake_to_its_sentence():
    def record(error: Exception) -> logging.LogRecord:
        info = (type(error), error, None)
        found = logging.LogRecord("n", logging.ERROR, "p", 1, "Encountered %s", ("x",), info)
        _OneSentence().filter(found)
        return found

    mended, other = record(UserError("m.csv: empty.")), record(RuntimeError("bug"))
    assert (mended.getMessage(), mended.exc_info) == ("m.csv: empty.", None)
    assert other.exc_info is not None
