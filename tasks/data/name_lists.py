"""Cells with several names (genres, keywords, people) in all usual forms -> tuples of names."""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from tasks.data.cells import clean_text, is_missing, without_entities
from tasks.data.genre_names import capitalized

MAX_LIST_LENGTH = 20_000
#: Marks between the names of a plain cell such as `Drama|Comedy`, in the order of preference.
SEPARATORS = ("|", ";", "、", ",", "，", "/", "・", "،", "／", "•", "\n")
#: A plain name: no brackets, quotes or marks of code.
_PLAIN = re.compile(r"[^\[\]{}()\"<>=:\\]+")
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
#: NumPy's form of a list, whose items have no commas between them.
_NUMPY = re.compile(rf"\[\s*(?:{_QUOTED})(?:\s+(?:{_QUOTED}))+\s*\]", re.DOTALL)
_ARRAY = re.compile(r"array\((\[.*\])(?:,\s*dtype=[^()]+)?\)", re.DOTALL)
#: An item in quotes of a list whose quotes are not escaped: `'Children's'` ends before a comma.
_UNESCAPED = re.compile(r"\s*(['\"])(.*?)\1\s*(?:,(?=\s*['\"])|$)", re.DOTALL)
#: A quote that nothing closes; the apostrophe of `'80s` is none.
_OPEN_QUOTE = re.compile(r"'(?!\d)")
#: Text between curly quotes; an apostrophe is followed by a letter.
_CURLY = re.compile(r"‘((?:[^’]|’(?=\w))*)’|“([^”]*)”")


def parse_literal(text: str, max_length: int = MAX_LIST_LENGTH) -> Any:
    """Value of a JSON or Python literal, parsed without evaluating code; a set becomes a list.

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
        return _without_set(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("neither JSON nor a Python literal") from error


def _without_set(text: str) -> Any:
    """Value of a Python literal; a set has the order of its text, not that of its hashes."""
    node = ast.parse(text.strip(), mode="eval").body
    return (
        list(map(ast.literal_eval, node.elts))
        if isinstance(node, ast.Set)
        else (ast.literal_eval(node))
    )


def plain_text(cell: str) -> str:
    """A cell without HTML's entities, whose semicolons divide no names."""
    return without_entities(cell) if "&" in cell else cell


def choose_separator(cells: Iterable[str], default: str = SEPARATORS[0]) -> str:
    """The mark that separates names in most of the plain cells of a column; else the default."""
    counts = dict.fromkeys(SEPARATORS, 0)
    for cell in filter(_PLAIN.fullmatch, map(plain_text, cells)):
        for mark in SEPARATORS:
            counts[mark] += mark in cell
    return max(SEPARATORS, key=counts.__getitem__) if any(counts.values()) else default


@lru_cache(maxsize=65_536)
def parse_names(text: str, separator: str = "|") -> tuple[str, ...]:
    """Names in a cell: a list of JSON, Python, NumPy or PostgreSQL, or names with separators.

    Without duplicates, padding and missing values. Items of a list may be objects with a `name`.

    Raises:
        ValueError: the cell is none of these.
    """
    items = [_name(item) for item in _list_or_plain_names(text.strip(), separator)]
    return tuple(dict.fromkeys(name for name in items if not is_missing(name)))


def parse_keywords(text: str, separator: str = "|") -> tuple[str, ...]:
    """Like `parse_names`, with capital initials; plain names may have any letters but the mark."""
    as_list = is_list(text.strip())
    plain = plain_text(text)
    names = parse_names(text, separator) if as_list else map(clean_text, plain.split(separator))
    return tuple(dict.fromkeys(capitalized(name) for name in names if not is_missing(name)))


def _name(item: Any) -> str:
    if isinstance(item, dict) and "name" not in item:
        raise ValueError("an item without a name")
    value = item["name"] if isinstance(item, dict) else item
    if value is None or value != value:  # None, or NaN
        return ""
    if not isinstance(value, str):
        raise ValueError("an item without a name")
    return clean_text(value)


def _list_or_plain_names(text: str, separator: str) -> Sequence[Any]:
    if is_missing(text):
        return []
    return list_items(text) if is_list(text) else _plain_names(text, separator)


def is_list(text: str) -> bool:
    """Whether a stripped cell starts as the lists do that `list_items` reads."""
    return text[:1] in ("[", "{", "(") or text.startswith(("array(", "set()"))


def list_items(text: str, max_length: int = MAX_LIST_LENGTH) -> Sequence[Any]:
    """Items of a list of JSON, Python, NumPy or PostgreSQL: texts or objects, not yet cleaned.

    Raises:
        ValueError: the cell is none of these, or too long.
    """
    if text in ("{}", "set()"):  # of PostgreSQL, and of Python
        return []
    text = match[1] if (match := _ARRAY.fullmatch(text)) else text
    if _NUMPY.fullmatch(text):
        return [ast.literal_eval(item) for item in re.findall(_QUOTED, text)]
    try:
        value = parse_literal(text, max_length)
    except ValueError:
        return _bare_items(text)
    items = [value] if isinstance(value, dict | str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("not a list")
    return items


def _plain_names(text: str, separator: str) -> list[str]:
    text = plain_text(text)
    if not _PLAIN.fullmatch(text):
        raise ValueError("neither a list nor plain names")
    return text.split(separator)


def _bare_items(text: str) -> list[Any]:
    """Items of a list without quotes (`{Drama,"Science Fiction"}`) or with curly ones."""
    if re.search("[‘“]", text):
        return [match[1] or match[2] for match in _CURLY.finditer(text)]
    inner, ends = text[1:-1], text[0] + text[-1]
    if ends not in ("[]", "{}", "()"):
        raise ValueError("a list without an end")
    if (quoted := _unescaped_items(inner)) is not None:
        return quoted
    items = [item.strip() for item in re.split(rf"({_QUOTED})|,", inner) if item]
    return [_unquoted(item) for item in items if item]


def _unescaped_items(inner: str) -> list[Any] | None:
    """Items of `'Drama', 'Children's'`; None if the text is no such list."""
    items, end = list[Any](), 0
    while end < len(inner):
        match = _UNESCAPED.match(inner, end)
        if match is None:
            return None
        items.append(match[2])
        end = match.end()
    return items or None


def _unquoted(item: str) -> str:
    if len(item) > 1 and item[0] == item[-1] and item[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", item[1:-1])
    if not _PLAIN.fullmatch(item) or _OPEN_QUOTE.match(item):
        raise ValueError("not a name")
    return item
