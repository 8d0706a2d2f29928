"""Entry points: the console script `movie-recommender`, and `python -m flows.NAME`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from threading import Timer
from typing import NoReturn

from flows.cli import MODULES, SUBCOMMANDS
from flows.runtime import PROGRAM, garbage, interrupts

LOADING_SECONDS = 3.0  # of imports before a terminal says so


def main() -> NoReturn:
    """Entry point of the console script; `help COMMAND` is `COMMAND --help`."""
    interrupts.install()
    name, *arguments = sys.argv[1:] or [""]
    if name == "help":
        name, arguments = " ".join(arguments[:1]) or "--help", ["--help"]
    if name in SUBCOMMANDS:
        start(name, f"{PROGRAM} {name}", arguments)
    from flows.cli.completion import show_help

    sys.exit(show_help([name, *arguments] if name else []))


def run_module(name: str) -> NoReturn:
    """Run a command as `python -m flows.NAME`."""
    start(name, f"python -m flows.{name.replace('-', '_')}", sys.argv[1:])


def start(name: str, program: str, arguments: list[str]) -> NoReturn:
    """Run a command, unless its arguments ask for help or are refused; exits with its code."""
    from flows.cli.completion import check_flags

    code = check_flags(name, program, arguments)
    if code is not None:
        sys.exit(code)
    run((SUBCOMMANDS | MODULES)[name].function, program, arguments)


@contextmanager
def announced_loading() -> Iterator[None]:
    """Say on a terminal what takes so long, if this block does: libraries are being imported."""
    timer = Timer(LOADING_SECONDS, print, ["Loading …"], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    if sys.stderr and sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run(function: str, program: str, arguments: list[str]) -> NoReturn:
    """Import a command and run it with its arguments; exits with its code."""
    garbage.collect_less()
    with garbage.not_collected(), announced_loading():
        from flows.cli.command_line import config_class
        from flows.cli.command_line import main as run_command

        command = resolve_name(function)
    run_command(config=config_class(command), program=program, command=command, arguments=arguments)
