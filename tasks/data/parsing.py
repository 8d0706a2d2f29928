"""Text cells of a catalogue -> names, ids, years and counts; cells are never evaluated as code."""

import ast
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

Reason = Literal[
    "shifted_row",
    "bad_id",
    "missing_title",
    "missing_overview",
    "placeholder_overview",
    "unreadable_genres",
    "duplicate_id",
]
#: Placeholders for a missing overview, in lower case without punctuation.
PLACEHOLDERS = frozenset(
    [
        "no overview",
        "no overview found",
        "no overview yet",
        "no overview available",
        "no description",
        "no description available",
        "not available",
        "n a",
        "none",
        "null",
        "nan",
    ]
)
EMPTY_LISTS = frozenset(["", "nan", "none", "null"])
PLAIN_NAMES = re.compile(r"[\w&'/ -]+(\|[\w&'/ -]+)*")
MAX_LIST_LENGTH = 20_000
LONGEST_PLACEHOLDER = 60  # characters; longer texts are not compared with the placeholders
_CONTROL = re.compile(r"[\x00-\x1f\x7f\s]+")
_WORD = re.compile(r"[^\W\d_]{2,}")


def clean_text(text: str) -> str:
    """Text without control characters, with single spaces."""
    plain = text if text.isprintable() else _CONTROL.sub(" ", text)
    return " ".join(plain.split())


def parse_literal(text: str, max_length: int = MAX_LIST_LENGTH) -> Any:
    """Value of a JSON or Python literal, parsed without evaluating code.

    Raises:
        ValueError: the text is neither, or is too long or too deeply nested.
    """
    if len(text) > max_length:
        raise ValueError("too long for a list of names")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # not JSON: Kaggle writes Python literals
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("neither JSON nor a Python literal") from error


@lru_cache(maxsize=65_536)
def parse_names(text: str) -> tuple[str, ...]:
    """Names in a cell such as `[{'id': 18, 'name': 'Drama'}]`, `["Drama"]` or `Drama|Comedy`.

    Removes duplicates and padding, and capitalises names in lower case.

    Raises:
        ValueError: the cell is neither empty nor a list of names.
    """
    return _unique(_list_items(text))


def parse_keywords(text: str) -> tuple[str, ...]:
    """Like `parse_names`, but ignores blank names, which Kaggle's keywords have.

    Raises:
        ValueError: the cell is neither empty nor a list of names.
    """
    items = _list_items(text)
    return _unique(item for item in items if not isinstance(item, str) or clean_text(item))


def _list_items(text: str) -> list[Any]:
    """Items of a list of names: the `name` of an item with fields, else the item."""
    stripped = text.strip()
    if stripped.casefold() in EMPTY_LISTS:
        return []
    if PLAIN_NAMES.fullmatch(stripped):
        return list[Any](stripped.split("|"))
    value = parse_literal(stripped)
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise ValueError("not a list")
    return [item.get("name") if isinstance(item, dict) else item for item in items]


def _unique(names: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_clean_name(name) for name in names))


def _clean_name(value: Any) -> str:
    if not isinstance(value, str) or not clean_text(value):
        raise ValueError("an item without a name")
    name = clean_text(value)
    return name.title() if name.islower() else name


def parse_id(text: str) -> int | None:
    """A positive integer, also written as a float (`862.0`); None for other text."""
    match = re.fullmatch(r"(\d{1,18})(\.0+)?", text.strip())
    return int(match[1]) or None if match else None


def parse_year(text: str) -> int | None:
    """Year from 1870 to 2099 at the start of a date (`1995-10-30`); None for other text."""
    match = re.match(r"(18[7-9]\d|19\d\d|20\d\d)(?!\d)", text.strip())
    return int(match[1]) if match else None


def parse_count(text: str) -> int | None:
    """A count, also written as a float (`5415.0`); None for other text."""
    return int(float(text)) if re.fullmatch(r"\d{1,15}(\.\d+)?", text.strip()) else None


def parse_imdb_id(text: str) -> str | None:
    """An IMDb id such as `tt0114709`; None for other text."""
    match = re.fullmatch(r"tt[0-9]+", text.strip())
    return match[0] if match else None


def parse_names_or_empty(text: str) -> tuple[str, ...]:
    """Like `parse_keywords`, but an unreadable cell counts as empty: for optional columns."""
    try:
        return parse_keywords(text)
    except ValueError:
        return ()


def overview_problem(overview: str) -> Reason | None:
    """Why a cleaned text is not a valid overview; None if it is valid."""
    if not overview:
        return "missing_overview"
    if not _WORD.search(overview):
        return "placeholder_overview"
    if len(overview) > LONGEST_PLACEHOLDER:
        return None
    words = re.sub(r"[\W_]+", " ", overview.casefold()).strip()
    return "placeholder_overview" if words in PLACEHOLDERS else None
