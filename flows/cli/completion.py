"""Help, check of flags and shell completion of all commands, without importing a config.

A config takes seconds to import: its flags are therefore read from `flags.json`, which
`python -m flows.cli.completion` writes.
"""

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import click

from flows.cli import EVERYDAY_FLAGS, MODULES, SUBCOMMANDS
from flows.cli.flag_types import help_text, parameter, require_values, sentence, spell_flags
from flows.cli.output import unbreakable_stdout
from flows.runtime import PROGRAM

FLAGS = Path(__file__).with_name("flags.json")
INVALID_INPUT = 2
HELP = {"-h", "--help", "--help-all"}
SHOWS_ALL = "shows all flags"  # in `Context.meta`
QUOTES = "A text with spaces needs quotes. "
EPILOG = f"""\b
Help of a command: {PROGRAM} COMMAND --help
Completion in bash (or zsh_source):
  eval "$(_MOVIE_RECOMMENDER_COMPLETE=bash_source {PROGRAM})"
"""


@cache
def descriptions() -> dict[str, Any]:
    """Flags and stages of every command."""
    described: dict[str, Any] = json.loads(FLAGS.read_text(encoding="utf-8"))
    return described


class CommandFlags(click.Command):
    """The flags of a command for help, check and completion; `flows/cli/app.py` runs it."""

    def __init__(self, name: str, summary: str) -> None:
        described = descriptions()[name]
        self.stages: dict[str, str] = described["stages"]
        arguments = [one for one in described["flags"] if not one["name"].startswith("--")]
        self.argument_rows = {one["name"]: (one["name"], help_text(one)) for one in arguments}
        self.stage_of = {
            one["name"]: one.get("stage", "") for one in described["flags"] if one not in arguments
        }
        super().__init__(
            name,
            params=[*map(parameter, described["flags"]), *general_flags(self.stages)],
            help=f"{summary}.",
            short_help=summary,
            options_metavar="[FLAGS]",
            context_settings={"help_option_names": ["-h", "--help"], "allow_extra_args": True},
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse either spelling of the flags.

        Raises:
            click.UsageError: a flag is unknown or lacks a value, or a value is invalid.
        """
        arguments = spell_flags(args)
        if ctx.resilient_parsing or HELP & set(arguments):
            return super().parse_args(ctx, arguments)
        require_values(self.params, arguments)
        remaining = super().parse_args(ctx, arguments)
        if ctx.args:
            takes_text = any(isinstance(one, click.Argument) for one in self.params)
            advice = f"{QUOTES if takes_text else ''}{ctx.get_usage()}"
            raise click.UsageError(f"{' '.join(ctx.args)}: unexpected argument. {advice}")
        return remaining

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the everyday flags; with `--help-all` all, under a heading for each stage."""
        rows = {one.opts[0]: one.get_help_record(ctx) for one in self.get_params(ctx)}
        for heading, names in self._sections(ctx.meta.get(SHOWS_ALL, False)):
            shown = [row for row in map((rows | self.argument_rows).get, names) if row]
            if shown:
                with formatter.section(heading):
                    formatter.write_dl(shown)

    def _sections(self, shows_all: bool) -> Iterable[tuple[str, list[str]]]:
        yield "Arguments", list(self.argument_rows)
        first = [name for name, stage in self.stage_of.items() if not stage]
        is_everyday = not shows_all and self.name in EVERYDAY_FLAGS
        yield "Flags", [*EVERYDAY_FLAGS[str(self.name)]] if is_everyday else first
        for heading, summary in self.stages.items() if shows_all else ():
            names = [name for name, stage in self.stage_of.items() if stage == heading]
            yield f"{heading} ({summary})", names
        yield "Help", ["--debug", "--help-all", "-h"]


def general_flags(stages: Iterable[str]) -> list[click.Parameter]:
    """Flags that every command has; `--help-all` is shown if the command has stages."""
    help_all = click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        hidden=not stages,
        callback=_print_all_flags,
        help="Show all flags, grouped by stage, and exit.",
    )
    debug = click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.")
    return [debug, help_all]


def _print_all_flags(ctx: click.Context, parameter: click.Parameter, is_given: bool) -> None:
    if is_given and not ctx.resilient_parsing:
        ctx.meta[SHOWS_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


class OrderedGroup(click.Group):
    """A group that lists its subcommands in the order of their definition."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the subcommands."""
        return list(self.commands)


def help_program() -> click.Group:
    """The console script as click sees it: `--help`, `--version` and the subcommands."""
    commands: dict[str, click.Command] = {
        name: CommandFlags(name, subcommand.summary) for name, subcommand in SUBCOMMANDS.items()
    }
    group = OrderedGroup(
        PROGRAM,
        commands,
        help="Train a movie recommender, get recommendations, and manage model versions.",
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    version: click.Group = click.version_option(package_name=PROGRAM)(group)
    return version


def show_help(arguments: list[str]) -> int:
    """Print help or version of the program, or complete a word; returns the exit code."""
    try:
        with unbreakable_stdout():
            code = help_program().main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return INVALID_INPUT
    except click.ClickException as error:
        print(sentence(error), file=sys.stderr)
        return INVALID_INPUT
    return int(code or 0)


def check_flags(name: str, program: str, arguments: list[str]) -> int | None:
    """Exit code if the arguments ask for help or are refused; None if the command can run."""
    summary = SUBCOMMANDS[name].summary if name in SUBCOMMANDS else MODULES[name].summary
    try:
        with unbreakable_stdout():
            CommandFlags(name, summary).make_context(program, list(arguments))
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        print(sentence(error), file=sys.stderr)
        return INVALID_INPUT
    return None


def current_flags() -> dict[str, Any]:
    """Flags and stages of every command, from its config."""
    from flows.cli.command_line import config_class
    from flows.cli.flag_descriptions import command_description

    functions = {name: one.function for name, one in (SUBCOMMANDS | MODULES).items()}
    return {
        name: command_description(config_class(resolve_name(function)))
        for name, function in functions.items()
    }


if __name__ == "__main__":
    text = json.dumps(current_flags(), indent=1, ensure_ascii=False)
    FLAGS.write_text(f"{text}\n", encoding="utf-8")
