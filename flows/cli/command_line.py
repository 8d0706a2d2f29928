"""Arguments -> config -> exit code: parsing, error messages and output of every command."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from flows.cli.literal_text import decode_settings, encoding_parser
from flows.runtime import interrupts
from flows.runtime.parameters import text_settings
from tasks.core.contracts import UserError
from tasks.core.disk import full_disk_message
from tasks.core.redaction import print_redacted, redacted
from tasks.core.storage import store

DONE, FAILED, INVALID_INPUT = 0, 1, 2
DEBUG = "--debug"
C = TypeVar("C", bound=BaseModel)


class _WithoutTraceback(logging.Filter):
    """Log an error that the user can correct as its message alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], UserError):
            record.msg, record.args = str(record.exc_info[1]), None
            record.exc_info, record.exc_text = None, None
        return True


def config_class(command: Callable[..., int]) -> type[BaseModel]:
    """The model of a command's parameter `config`."""
    config: type[BaseModel] = get_type_hints(command)["config"]
    return config


def parse(config: type[C], program: str, arguments: list[str]) -> C:
    """Read `config` from command-line arguments only: environment variables have no effect.

    Raises:
        ValidationError: a value is out of its bounds.
        SystemExit: unknown flag (2), or `--help` (0).
    """
    source = _settings_source(config, program)
    parsed = CliApp.run(
        source.settings_cls, cli_args=arguments, cli_settings_source=source
    ).model_dump(by_alias=True, exclude_unset=True)
    return config.model_validate(decode_settings(parsed, text_settings(config)))


def flags(config: type[BaseModel], program: str) -> list[str]:
    """Every flag of a command in the order of its help, `--help` and `--debug` last."""
    parser: argparse.ArgumentParser = _settings_source(config, program).root_parser
    names = [name for name in parser._option_string_actions if name.startswith("--")]
    return [*(name for name in names if name != "--help"), "--help", DEBUG]


def _settings_source(config: type[BaseModel], program: str) -> CliSettingsSource[Any]:
    class Flags(BaseSettings, config):  # type: ignore[valid-type, misc]
        __doc__ = config.__doc__
        model_config = SettingsConfigDict(
            cli_prog_name=program,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_parse_none_str="null",
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            *others: PydanticBaseSettingsSource,
            **more: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings,)

    return CliSettingsSource(Flags, parse_args_method=encoding_parser(text_settings(config)))


def validation_message(error: ValidationError) -> str:
    """One sentence for each invalid flag or combination of flags."""
    return "\n".join(map(_problem_message, error.errors()))


def _problem_message(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return f"{message}."
    return f"--{'.'.join(map(str, problem['loc']))}: {message} (got {problem['input']!r})."


class _UnbreakableOutput:
    """Standard output that discards what is printed after its reader has closed it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text`; discard it if the reader is gone."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Flush the buffer; discard it if the reader is gone."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Redirect the buffer and all later output to the null device."""
        with Path(os.devnull).open("w") as null_device:
            os.dup2(null_device.fileno(), self._stream.fileno())


@contextmanager
def _unbreakable_stdout() -> Iterator[None]:
    """Let a command, which may be a long training run, succeed without a standard output."""
    with Path(os.devnull).open("w") as null_device:
        output = _UnbreakableOutput(sys.stdout or null_device)  # None if the descriptor is closed
        with redirect_stdout(cast(TextIO, output)):
            try:
                yield
            finally:
                output.flush()


def main(
    *, config: type[C], program: str, command: Callable[[C], int], arguments: list[str]
) -> NoReturn:
    """Run `command` with the config of the command line and exit with its code.

    Exit codes: 0 done, 1 failed, 2 invalid or unanswerable input, 130 interrupted, 143 terminated.
    A traceback is printed only with `--debug`.
    """
    debug = DEBUG in arguments
    settings = [argument for argument in arguments if argument != DEBUG]
    if debug:
        sys.excepthook = print_redacted
    else:
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).addFilter(_WithoutTraceback())
    try:
        with _unbreakable_stdout():
            code = _exit_code(lambda: command(parse(config, program, settings)), debug)
    finally:
        interrupts.hold_if_ending()  # Prefect turns SIGTERM into an exception as well
    sys.exit(code)


def _exit_code(run: Callable[[], int], debug: bool) -> int:
    """Exit code of a command; an error is printed to stderr, or raised if `debug`."""
    try:
        return run()
    except Exception as error:
        if debug:
            raise
        interrupts.hold_if_ending()  # the signal caused this error
        is_user_error = isinstance(error, UserError | ValidationError)
        print(_error_message(error), file=sys.stderr)
        return INVALID_INPUT if is_user_error else FAILED


def _error_message(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return redacted(validation_message(error))
    message = redacted(str(error))
    if isinstance(error, UserError):
        return message
    prefect_home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    disk_message = full_disk_message(error, store.artifacts_root(), prefect_home)
    return (
        disk_message or f"Failed: {message} ({type(error).__name__}; {DEBUG} shows the traceback)."
    )
