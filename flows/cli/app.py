"""Entry points: the console script `movie-recommender`, and `python -m flows.NAME`."""

import sys
from pkgutil import resolve_name
from typing import NoReturn

from flows.cli import MODULES, SUBCOMMANDS
from flows.runtime import PROGRAM, garbage, interrupts


def main() -> NoReturn:
    """Entry point of the console script."""
    interrupts.install()
    name, arguments = sys.argv[1:2], sys.argv[2:]
    if name and name[0] in SUBCOMMANDS:
        run(SUBCOMMANDS[name[0]].function, f"{PROGRAM} {name[0]}", arguments)
    from flows.cli.completion import help_program  # the help, the version, shell completion

    help_program().main(prog_name=PROGRAM)
    sys.exit()


def run_module(name: str) -> NoReturn:
    """Run a command as `python -m flows.NAME`."""
    function = MODULES.get(name) or SUBCOMMANDS[name].function
    run(function, f"python -m flows.{name.replace('-', '_')}", sys.argv[1:])


def run(function: str, program: str, arguments: list[str]) -> NoReturn:
    """Import a command and run it with its arguments; exits with its code."""
    garbage.collect_less()
    with garbage.not_collected():
        from flows.cli.command_line import config_class
        from flows.cli.command_line import main as run_command

        command = resolve_name(function)
    run_command(config=config_class(command), program=program, command=command, arguments=arguments)
