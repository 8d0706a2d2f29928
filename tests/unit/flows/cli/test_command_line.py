import errno
import os
import sys

import pytest
from rich.console import Console

from flows.cli.command_line import main, parse
from flows.cli.subcommands.recommend import RecommendConfig
from flows.config import TrainConfig
from flows.release import ReleaseConfig
from tasks.core.contracts import UserError


def exit_code(arguments, command, config=TrainConfig) -> int:
    with pytest.raises(SystemExit) as caught:
        main(config=config, program="program", command=command, arguments=arguments)
    return int(caught.value.code)


def fail_with(error: Exception):
    def command(config: TrainConfig) -> int:
        raise error

    return command


def test_flags_reach_the_config_of_their_stage():
    config = parse(TrainConfig, "p", ["--preset", "blog", "--doc2vec.epochs", "20"])
    assert (config.preset, config.doc2vec.epochs, config.doc2vec.restarts) == ("blog", 20, 10)
    assert type(config) is TrainConfig


def test_null_and_lists_are_parsed_for_settings_that_are_no_texts():
    arguments = ["--classifier.patience", "null", "--classifier.hidden", "8,4"]
    config = parse(TrainConfig, "p", arguments)
    assert config.classifier.patience is None
    assert config.classifier.hidden == (8, 4)


def test_environment_variables_do_not_change_a_config(monkeypatch):
    monkeypatch.setenv("SOURCE", "elsewhere.csv")
    monkeypatch.setenv("DOC2VEC", '{"epochs": 1}')
    assert parse(TrainConfig, "p", []) == TrainConfig()


def test_a_title_with_quotes_is_not_parsed():
    config = parse(RecommendConfig, "p", ["x' OR '1'='1", "--year", "1979", "--json"])
    assert (config.titles, config.year, config.as_json) == (["x' OR '1'='1"], 1979, True)


def test_a_completed_command_exits_with_0():
    assert exit_code([], lambda _: 0) == 0


def test_a_user_error_is_one_sentence_and_exit_code_2(capsys):
    assert exit_code([], fail_with(UserError("No such file: m.csv."))) == 2
    assert capsys.readouterr().err == "No such file: m.csv.\n"


def test_any_other_error_is_one_sentence_and_exit_code_1(capsys):
    assert exit_code([], fail_with(RuntimeError("broken"))) == 1
    assert (
        capsys.readouterr().err == "Failed: broken (RuntimeError; --debug shows the traceback).\n"
    )


def test_a_full_disk_is_reported_with_advice(capsys):
    error = OSError(errno.ENOSPC, "No space left on device")
    assert exit_code([], fail_with(error)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The disk is full: ")


def test_a_value_out_of_bounds_names_its_flag(capsys):
    assert exit_code(["--doc2vec.epochs", "0"], lambda _: 0) == 2
    assert "--doc2vec.epochs: Input should be greater than or equal to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classifier.hidden", "8,b"], "--classifier.hidden: Input should be a valid integer"),
        (["--doc2vec.min_words", "-1"], "--doc2vec.min-words: Input should be greater than"),
        (
            [
                "--text.test-share",
                "0.4",
                "--text.gate-share",
                "0.4",
                "--text.validation-share",
                "0.4",
            ],
            "text: test, gate and validation share leave no movies to train on.\n",
        ),
    ],
)
def test_an_invalid_setting_is_named_as_its_flag_or_its_stage(arguments, message, capsys):
    assert exit_code(arguments, lambda _: 0) == 2
    assert capsys.readouterr().err.startswith(message)


def test_settings_that_do_not_go_together_are_named_in_a_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        main(
            config=ReleaseConfig,
            program="release",
            command=lambda _: 0,
            arguments=["promote"],
        )
    assert caught.value.code == 2
    assert capsys.readouterr().err == "promote takes 1 version, got 0.\n"


def print_much(config: TrainConfig) -> int:
    print("Training", flush=True)
    print("x" * 100_000)
    Console().print("Done")
    print("Next")
    return 0


def test_a_command_succeeds_if_the_reader_closes_its_output(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert exit_code([], print_much) == 0


def test_a_command_succeeds_without_a_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert exit_code([], print_much) == 0


@pytest.mark.parametrize(("error", "code"), [(UserError("no"), 2), (RuntimeError("bug"), 1)])
def test_debug_prints_the_traceback_and_keeps_the_exit_code(error, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert exit_code(["--debug"], fail_with(error)) == code
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert printed.endswith(f"Error: {error}\n")
