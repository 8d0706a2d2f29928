"""Arguments -> config -> exit code: parsing, error messages and output of every command."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from flows.cli.flag_types import spell_flags
from flows.cli.literal_text import decode_settings, encoding_parser
from flows.cli.output import unbreakable_stdout
from flows.runtime import interrupts
from flows.runtime.parameters import flag_name, text_settings
from tasks.core.contracts import UserError
from tasks.core.disk import full_disk_message
from tasks.core.redaction import print_redacted, redacted
from tasks.core.storage import store

DONE, FAILED, INVALID_INPUT = 0, 1, 2
DEBUG = "--debug"
C = TypeVar("C", bound=BaseModel)


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
        source.settings_cls, cli_args=spell_flags(arguments), cli_settings_source=source
    ).model_dump(by_alias=True, exclude_unset=True)
    return config.model_validate(decode_settings(parsed, text_settings(config)))


def _settings_source(config: type[BaseModel], program: str) -> CliSettingsSource[Any]:
    class Flags(BaseSettings, config):  # type: ignore[valid-type, misc]
        __doc__ = config.__doc__
        model_config = SettingsConfigDict(
            cli_prog_name=program,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_kebab_case=True,
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
    setting = ".".join(part for part in problem["loc"] if isinstance(part, str))  # no list index
    if not setting:
        return f"{message}."
    if isinstance(problem["input"], dict):  # of a stage
        return f"{setting}: {message}."
    return f"{flag_name(setting)}: {message} (got {problem['input']!r})."


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
    try:
        with unbreakable_stdout():
            code = _exit_code(lambda: command(parse(config, program, settings)), debug)
    finally:
        interrupts.hold_if_ending()  # Prefect turns SIGTERM into an exception as well
    sys.exit(code)


def _exit_code(run: Callable[[], int], debug: bool) -> int:
    """Exit code of a command; an error is printed to stderr, with its traceback if `debug`."""
    try:
        return run()
    except Exception as error:
        interrupts.hold_if_ending()  # the signal caused this error
        is_user_error = isinstance(error, UserError | ValidationError)
        if debug:
            print_redacted(type(error), error, error.__traceback__)
        else:
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
