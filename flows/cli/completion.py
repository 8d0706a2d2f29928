"""Help, version and shell completion of the console script, without importing a subcommand.

Completion offers flags from `flags.json`, because importing a config to list its flags takes
seconds. `python -m flows.cli.completion` writes that file.
"""

import json
from pathlib import Path
from pkgutil import resolve_name

import click
from click.shell_completion import CompletionItem

from flows.cli import SUBCOMMANDS
from flows.runtime import PROGRAM

FLAGS = Path(__file__).with_name("flags.json")
EPILOG = f"""\b
Each subcommand has its own --help. Completion in bash (or zsh_source):
  eval "$(_MOVIE_RECOMMENDER_COMPLETE=bash_source {PROGRAM})"
"""


class SubcommandHelp(click.Command):
    """A subcommand in help and completion; `flows/cli/app.py` runs it without click."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept any arguments: only the subcommand's own parser knows them."""
        return []

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Flags for a word that starts with `-`, else file names."""
        if not incomplete.startswith("-"):
            return [CompletionItem(incomplete, type="file")]
        flags: list[str] = json.loads(FLAGS.read_text(encoding="utf-8"))[self.name]
        return [CompletionItem(flag) for flag in flags if flag.startswith(incomplete)]


class OrderedGroup(click.Group):
    """A group that lists its subcommands in the order of their definition."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the subcommands."""
        return list(self.commands)


def help_program() -> click.Group:
    """The console script as click sees it: `--help`, `--version` and the names of subcommands."""
    commands: dict[str, click.Command] = {
        name: SubcommandHelp(name, short_help=subcommand.summary)
        for name, subcommand in SUBCOMMANDS.items()
    }
    group = OrderedGroup(
        PROGRAM,
        commands,
        help="Train a movie recommender, get recommendations, and manage model versions.",
        epilog=EPILOG,
    )
    version: click.Group = click.version_option(package_name=PROGRAM)(group)
    return version


def current_flags() -> dict[str, list[str]]:
    """Flags of every subcommand, from its config."""
    from flows.cli.command_line import config_class, flags

    configs = {
        name: config_class(resolve_name(subcommand.function))
        for name, subcommand in SUBCOMMANDS.items()
    }
    return {name: flags(config, PROGRAM) for name, config in configs.items()}


if __name__ == "__main__":
    FLAGS.write_text(json.dumps(current_flags(), indent=1) + "\n", encoding="utf-8")
