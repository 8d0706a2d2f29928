"""A typed value of JSON, parquet or a spreadsheet -> the text that a CSV file has."""

import json
import math


def cell_text(value: object) -> str:
    """A value as text: lists and structs become JSON, and no value an empty cell.

    A number without a fraction has no decimals: the numbers of a spreadsheet are all floats.

    Raises:
        UnicodeDecodeError: bytes are not UTF-8.
    """
    if isinstance(value, str):
        return value if value.isascii() else _without_surrogates(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | dict):
        return json.dumps(value, default=_json_value, ensure_ascii=False)
    return str(value)


def _without_surrogates(text: str) -> str:
    """The text with pairs of surrogates joined, and half a pair replaced: JSON may have both."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _json_value(value: object) -> str:
    """What JSON has no type for: bytes are text, all else is as Python writes it."""
    return value.decode() if isinstance(value, bytes) else str(value)
