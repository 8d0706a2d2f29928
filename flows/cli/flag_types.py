"""Flags of `flags.json` -> options of click: types, bounds, spelling, one-sentence errors."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any

import click
from click.shell_completion import CompletionItem

from tasks.core.redaction import redacted

MAX_HINTS = 3
Description = dict[str, Any]


class Text(click.ParamType[str]):
    """Any text; completed as a file name."""

    name = "text"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of files, which the shell knows."""
        return [CompletionItem(incomplete, type="file")]


class Optional(click.ParamType[Any]):
    """Another type, or `null`, which unsets the setting."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.inner, self.name = inner, inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`null` unchanged, else the value of the other type."""
        return value if value == "null" else self.inner.convert(value, param, ctx)


def spell_flags(arguments: Sequence[str]) -> list[str]:
    """The arguments with flags in the documented spelling, hyphens in place of underscores."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*map(_spell_flag, arguments[:end]), *arguments[end:]]


def _spell_flag(argument: str) -> str:
    if not argument.startswith("--") or " " in argument.partition("=")[0]:
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def parameter(description: Description) -> click.Parameter:
    """The option or argument of click that accepts what the setting accepts."""
    name, is_repeated = description["name"], description.get("repeated", False)
    type_ = value_type(description)
    if not name.startswith("--"):
        nargs, required = -1 if is_repeated else 1, description.get("required", False)
        usage = (name if required else f"[{name}]") + ("..." if is_repeated else "")
        return click.Argument([name], type=type_, nargs=nargs, required=required, metavar=usage)
    identifier = name.lstrip("-").replace("-", "_").replace(".", "__")
    names = f"{name}/--no-{name[2:]}" if description["type"] == "switch" else name
    return click.Option(
        [names, identifier],
        type=type_,
        multiple=is_repeated,
        metavar=metavar(description),
        help=help_text(description),
    )


def value_type(description: Description) -> click.ParamType[Any]:
    """The type that checks a value before the config is imported; lists are checked by it."""
    bounds = description.get("bounds", {})
    limits = {
        "min": bounds.get("ge", bounds.get("gt")),
        "max": bounds.get("le", bounds.get("lt")),
        "min_open": "gt" in bounds,
        "max_open": "lt" in bounds,
    }
    types: dict[str, Callable[[], click.ParamType[Any]]] = {
        "choice": lambda: click.Choice(description["choices"]),
        "integer": lambda: click.IntRange(**limits),
        "number": lambda: click.FloatRange(**limits),
        "switch": lambda: click.BOOL,
    }
    kind = description["type"]
    inner = types.get(kind, Text)()
    inner.name = kind
    return Optional(inner) if description.get("optional") and kind != "text" else inner


def metavar(description: Description) -> str | None:
    """What the help shows after a flag: the choices, or the type in words."""
    if description["type"] == "switch":
        return None
    return "|".join(description.get("choices", [])) or description["type"].upper()


def help_text(description: Description) -> str:
    """Description and default, as the help shows them."""
    default = description.get("default")
    return str(description["description"]) + (f" [default: {default}]" if default else "")


def require_values(parameters: Sequence[click.Parameter], arguments: Sequence[str]) -> None:
    """Check that every flag that takes a value has one.

    Raises:
        click.UsageError: another flag follows, or nothing.
    """
    options = {
        name: option
        for option in parameters
        if isinstance(option, click.Option) and not option.is_flag
        for name in option.opts
    }
    for argument, following in zip_longest(arguments, arguments[1:]):
        if argument == "--":
            return
        if argument in options and (following is None or is_flag(following)):
            wanted = options[argument].metavar
            raise click.UsageError(f"{argument}: a value is missing ({wanted}).")


def is_flag(argument: str) -> bool:
    """Whether an argument is read as a flag; a negative number and a text with spaces are not."""
    is_number = argument[1:].replace(".", "", 1).isdigit()
    return argument.startswith("-") and argument != "-" and " " not in argument and not is_number


def similar_flags(name: str, flags: Sequence[str]) -> list[str]:
    """Flags that are similar to a mistyped one, also without the name of their stage."""
    short = {flag: f"--{flag.rpartition('.')[2].lstrip('-')}" for flag in flags}
    close = get_close_matches(name, {*flags, *short.values()}, n=MAX_HINTS, cutoff=0.7)
    ranked = [flag for match in close for flag in flags if match in (flag, short[flag])]
    return list(dict.fromkeys(ranked))[:MAX_HINTS]


def sentence(error: click.ClickException) -> str:
    """What is wrong and what to do, in one sentence without credentials."""
    return redacted(_sentence(error))


def _sentence(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return error.format_message()
    if isinstance(error, click.NoSuchOption):
        flags = [name for one in error.ctx.command.params for name in one.opts if name[:2] == "--"]
        return f"{error.option_name}: no such flag.{hint(similar_flags(error.option_name, flags))}"
    if isinstance(error, click.MissingParameter) and error.param:
        return f"{error.param.opts[0]} is missing. {error.ctx.get_usage()}"
    if isinstance(error, click.BadParameter) and error.param:
        return f"{error.param.opts[0]}: {error.message}"
    return error.format_message()


def hint(names: Sequence[str]) -> str:
    """A question that names what could be meant; empty if nothing could."""
    return f" Did you mean {' or '.join(names)}?" if names else ""
