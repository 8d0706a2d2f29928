"""Text arguments of the command line: passed on unchanged, never parsed.

pydantic-settings parses the values of list-valued settings (commas, quotes, brackets, JSON,
`null`), which is wrong for titles and file names. Texts are therefore encoded in letters and digits
before pydantic-settings reads them, and decoded in the values that it returns.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PREFIX = "text"
ParseArguments = Callable[[argparse.ArgumentParser, Sequence[str]], dict[str, Any]]


def encoding_parser(text_names: set[str]) -> ParseArguments:
    """A replacement for `parse_args` that encodes the values of these settings."""

    def parse_args(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
        values = vars(parser.parse_args(arguments))
        return {
            name: encode(value) if name in text_names else value for name, value in values.items()
        }

    return parse_args


def encode(value: Any) -> Any:
    """A text, or a list of texts, in letters and digits; any other value unchanged."""
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, str):
        return PREFIX + value.encode(errors="surrogateescape").hex()
    return value


def decode(value: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, str) and value.startswith(PREFIX):
        return bytes.fromhex(value.removeprefix(PREFIX)).decode(errors="surrogateescape")
    return value


def decode_settings(
    values: Mapping[str, Any], text_names: set[str], prefix: str = ""
) -> dict[str, Any]:
    """Nested settings with the values of `text_names` decoded."""
    decoded: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            decoded[name] = decode_settings(value, text_names, f"{prefix}{name}.")
        else:
            decoded[name] = decode(value) if prefix + name in text_names else value
    return decoded
