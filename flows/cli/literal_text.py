"""Text arguments of a command line, kept to the letter.

pydantic-settings parses the values of lists (commas, quotes, brackets, JSON, `null`), which is
wrong for titles and file names. Values of text settings are therefore encoded in letters and digits
before it sees them, and decoded from the config that it returns.
"""

import argparse
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

MARK = "text"


def text_settings(config: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names of the settings that hold a text or a list of texts."""
    names = set[str]()
    for name, field in config.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            names |= text_settings(annotation, f"{prefix}{name}.")
        elif _is_text(annotation):
            names |= {prefix + name, prefix + (field.alias or name)}
    return names


def _is_text(annotation: Any) -> bool:
    if annotation is str:
        return True
    if get_origin(annotation) in (None, tuple):  # a number, a choice, hidden layers
        return False
    return {str} == set(get_args(annotation)) - {type(None)}


def encoding_parser(names: set[str]) -> Any:
    """A `parse_args` for pydantic-settings that encodes the values of these settings."""

    def parse_args(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
        values = vars(parser.parse_args(arguments))
        return {name: encoded(value) if name in names else value for name, value in values.items()}

    return parse_args


def encoded(value: Any) -> Any:
    """A text, or a list of texts, in letters and digits; anything else as it is."""
    if isinstance(value, list):
        return [encoded(item) for item in value]
    return MARK + value.encode(errors="surrogateescape").hex() if isinstance(value, str) else value


def decoded(values: dict[str, Any], names: set[str], prefix: str = "") -> dict[str, Any]:
    """The inverse of `encoded` for these settings of a config."""
    return {
        name: decoded(value, names, f"{prefix}{name}.")
        if isinstance(value, dict)
        else (_decoded(value) if prefix + name in names else value)
        for name, value in values.items()
    }


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, str) and value.startswith(MARK):
        return bytes.fromhex(value.removeprefix(MARK)).decode(errors="surrogateescape")
    return value
