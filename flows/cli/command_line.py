"""What every command shares: parsing its config, one sentence for an error, the exit code."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from flows.cli.literal_text import decoded, encoding_parser, text_settings
from flows.runtime import interrupts
from tasks.core.contracts import UserError
from tasks.core.disk import full_disk_message
from tasks.core.redaction import print_redacted, redacted
from tasks.core.storage import store

DONE, FAILED, UNANSWERABLE = 0, 1, 2
C = TypeVar("C", bound=BaseModel)


class _OneSentence(logging.Filter):
    """Keep the traceback of a mistake that the user can mend out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], UserError):
            record.msg, record.args = str(record.exc_info[1]), None
            record.exc_info, record.exc_text = None, None
        return True


def parse(config: type[C], program: str, arguments: list[str]) -> C:
    """Read `config` from command-line flags alone: no environment variable can change it.

    Raises:
        ValidationError: a value is out of its bounds.
        SystemExit: unknown flag (2), or help was asked for (0).
    """

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

    names = text_settings(config)
    source = CliSettingsSource[Any](Flags, parse_args_method=encoding_parser(names))
    parsed = CliApp.run(Flags, cli_args=arguments, cli_settings_source=source)
    values = parsed.model_dump(by_alias=True, exclude_unset=True)
    return config.model_validate(decoded(values, names))


def error_sentences(error: ValidationError) -> str:
    """What is wrong with each flag, or with several together."""
    return "\n".join(map(_sentence, error.errors()))


def _sentence(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return f"{message}."
    return f"--{'.'.join(map(str, problem['loc']))}: {message} (got {problem['input']!r})."


class _Output:
    """Standard output that drops what is printed after its reader has closed it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as far as there is a reader."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Hand on what is buffered, as far as there is a reader."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """What is still buffered, and what follows, goes nowhere."""
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def _lasting_stdout() -> Iterator[None]:
    """A standard output without which a command, which may be a training, still succeeds."""
    with Path(os.devnull).open("w") as nowhere:
        output = _Output(sys.stdout or nowhere)  # None where the descriptor is closed
        with redirect_stdout(cast(TextIO, output)):
            try:
                yield
            finally:
                output.flush()


def main(config: type[C], program: str, command: Callable[[C], int]) -> None:
    """Run `command` with the config of the command line and exit with its code.

    Exit codes: 0 done, 1 failed, 2 the user's input cannot be answered, 130 interrupted, 143
    terminated. A traceback is shown only with `--debug`.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if debug:
        sys.excepthook = print_redacted
    else:
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).addFilter(_OneSentence())
    try:
        with _lasting_stdout():
            code = _exit_code(lambda: command(parse(config, program, arguments)), debug)
    finally:
        interrupts.hold_if_ending()  # Prefect, too, makes an exception of SIGTERM
    sys.exit(code)


def _exit_code(run: Callable[[], int], debug: bool) -> int:
    try:
        return run()
    except (UserError, ValidationError) as error:
        if debug:
            raise
        message = error_sentences(error) if isinstance(error, ValidationError) else str(error)
        interrupts.hold_if_ending()
        print(redacted(message), file=sys.stderr)
        return UNANSWERABLE
    except Exception as error:
        if debug:
            raise
        interrupts.hold_if_ending()  # what broke broke because of the signal
        why = redacted(str(error))
        failed = f"Failed: {why} ({type(error).__name__}; --debug shows where)."
        prefect_home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
        full = full_disk_message(error, store.artifacts_root(), prefect_home)
        print(full or failed, file=sys.stderr)
        return FAILED
