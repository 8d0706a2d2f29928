"""JSON (a list of objects, one a line, or one a column) -> a header and rows of text cells."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.core.contracts import UserError
from tasks.data.files.cells import cell_text
from tasks.data.files.delimited import DamagedLine, Record
from tasks.data.files.detection import open_text

ADVICE = "JSON must be a list of objects, an object a line, or one a column as pandas writes."
Object = dict[str, Any]


def read_json(path: Path, encoding: str) -> tuple[list[str], Iterator[Record]]:
    """Header and rows of a JSON file; the header has the keys of all objects.

    Of one object a line, a line that is none is a damaged line.

    Raises:
        UserError: the file has another form.
    """
    if _has_object_lines(path, encoding):
        header = _keys(_object_lines(path, encoding))
        return header, (_record(item, header) for item in _object_lines(path, encoding))
    rows = _listed(path, encoding)
    header = _keys(rows)
    return header, (_record(row, header) for row in rows)


def _has_object_lines(path: Path, encoding: str) -> bool:
    """Whether the first line of several is an object, or the only one is a movie."""
    with open_text(path, encoding) as text:
        first, second = [*islice(filter(str.strip, text), 2), "", ""][:2]
    if second:
        return first.strip() not in ("{", "[") and isinstance(_parsed(first), dict)
    value = _parsed(first)
    return isinstance(value, dict) and _table_in(path, value) is None


def _table_in(path: Path, value: Object) -> list[Object] | None:
    """Rows of an object that is a table: a list of larger objects, or a list or object a column.

    A list of smaller objects, such as its genres, belongs to a movie.

    Raises:
        UserError: the object has several tables.
    """
    tables = {
        name: item
        for name, item in value.items()
        if isinstance(item, list) and _are_objects(item) and len(_keys(item)) > len(value)
    }
    if len(tables) > 1:
        raise UserError(f"{path}: the JSON has several tables: {', '.join(tables)}. Leave one.")
    if tables:
        return next(iter(tables.values()))
    columns = list(value.values())
    if columns and all(isinstance(column, list) for column in columns):
        if len(set(map(len, columns))) > 1:
            return None
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    if value and _are_objects(value.values()):
        keys = dict.fromkeys(key for column in value.values() for key in column)
        return [{name: column.get(key) for name, column in value.items()} for key in keys]
    return None


def _are_objects(values: Iterable[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _parsed(line: str) -> Any:
    """The value of a line, or the line itself where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _object_lines(path: Path, encoding: str) -> Iterator[Object | str]:
    """The object of every line, or the line itself where it is none."""
    with open_text(path, encoding) as text:
        for line in filter(str.strip, text):
            value = _parsed(line)
            yield value if isinstance(value, dict) else line


def _keys(rows: Iterable[Object | str]) -> list[str]:
    """All keys, in the order in which they are found."""
    return list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))


def _record(row: Object | str, header: list[str]) -> Record:
    if isinstance(row, str):
        return DamagedLine(row.strip())
    return [cell_text(row.get(name)) for name in header]


def _listed(path: Path, encoding: str) -> list[Object]:
    """The objects of a list, or of a table that one object is, as `{"movies": […]}`."""
    with open_text(path, encoding) as text:
        try:
            value = json.load(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: the JSON cannot be read ({error}). {ADVICE}") from error
    rows = _table_in(path, value) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not _are_objects(rows):
        raise UserError(f"{path}: {ADVICE}")
    return rows
