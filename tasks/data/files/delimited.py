"""Delimited text -> records; a record that cannot be right costs its own line, and no other."""

import csv
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from tasks.data.files.detection import FileFormat

#: More lines than a cell of text has. A record of more is one with a quote that is never closed.
MAX_RECORD_LINES = 1000
#: From so many columns on, a line of text with as many fields is a row and no text.
MIN_TELLING_COLUMNS = 8
#: With fewer columns and commas, so many such lines are rows.
MIN_ROWS_OF_TEXT = 4


class DamagedLine(NamedTuple):
    """A line that is no row of the table."""

    text: str


Record = list[str] | DamagedLine
UNREADABLE = ["a record whose quotes break the rules"]


class _UnclosedQuoteError(Exception):
    """A record has more lines than a cell of text has."""


class _Lines:
    """Lines that can be put back, and those that the current record has taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._waiting: list[str] = []  # last first
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= MAX_RECORD_LINES:
            raise _UnclosedQuoteError
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.taken.append(line)
        return line

    def put_back_all_but_first(self) -> str:
        first, *others = self.taken
        self._waiting.extend(reversed(others))
        return first


def read_records(lines: Iterable[str], form: FileFormat) -> Iterator[Record]:
    """Records of delimited text (RFC 4180); the first is the header, and blank lines are none.

    A quoted cell may contain line ends. Where a quote is not closed, or stands where none may, the
    record's first line alone is taken as it is written: as a row if it then has all columns, else
    as damaged. The lines after it are read as if it were not there.
    """
    source = _Lines(form.plain(lines))
    reader, columns = _reader(source, form), 0
    while (fields := _next_record(reader, source)) is not None:
        if _is_plausible(fields, source.taken, columns, form):
            columns = columns or len(fields)
            yield fields
        elif fields:  # a blank line is none
            yield _read_line(source.put_back_all_but_first(), columns, form)
            reader = _reader(source, form)


def _reader(lines: Iterator[str], form: FileFormat) -> "Iterator[list[str]]":
    return csv.reader(lines, strict=True, **form.csv_options)


def _next_record(reader: Iterator[list[str]], source: _Lines) -> list[str] | None:
    """The next record; `UNREADABLE` where quotes break the rules; None at the end."""
    source.taken.clear()
    try:
        return next(reader, None)
    except (csv.Error, _UnclosedQuoteError):
        return UNREADABLE


def _is_plausible(fields: list[str], lines: list[str], columns: int, form: FileFormat) -> bool:
    """Whether a record is one: if a quote has swallowed other rows, it has several lines."""
    if not fields or fields is UNREADABLE:
        return False
    if len(lines) == 1 or not columns:
        return True
    is_whole = len(fields) == columns and _is_well_formed("".join(lines), form)
    return is_whole and not _are_rows(lines, columns, form)


def _is_well_formed(text: str, form: FileFormat) -> bool:
    """Whether a record has no quote within a cell that does not begin with one (RFC 4180).

    The reader takes such a quote for a letter.
    """
    return _well_formed(form).fullmatch(text) is not None


@cache
def _well_formed(form: FileFormat) -> re.Pattern[str]:
    space, mark = " *" if form.skip_space else "", re.escape(form.delimiter)
    cell = rf'(?:{space}"(?:[^"]|"")*+"|[^"{mark}\r\n]*+)'
    return re.compile(rf"{cell}(?:{mark}{cell})*+[\r\n]*")


def _are_rows(lines: list[str], columns: int, form: FileFormat) -> bool:
    """Whether the lines after the first are rows themselves, but for one.

    Lines of text are taken for rows only if they have as many fields, and if columns or lines are
    many, tabs or bars divide them, or they begin with a number as the first line does; that may
    also be the end of a damaged row: quotes alone.
    """
    has_quotes_alone = not lines[0].strip().strip('"')
    starts_with_number = has_quotes_alone or _starts_with_number(lines[0], form.delimiter)
    is_telling = columns >= MIN_TELLING_COLUMNS or starts_with_number or form.delimiter in "\t|"
    others = [line for line in lines[1:] if line.strip()]
    rows = [
        line
        for line in others
        if _is_row(line, columns, form)
        and _starts_with_number(line, form.delimiter) == starts_with_number
    ]
    return len(rows) >= max(1 if is_telling else MIN_ROWS_OF_TEXT, len(others) - 1)


def _starts_with_number(line: str, delimiter: str) -> bool:
    return line.partition(delimiter)[0].strip('"').isdigit()


def _is_row(line: str, columns: int, form: FileFormat) -> bool:
    fields = next(csv.reader([line], **form.csv_options), [])
    return len(fields) == columns and _is_well_formed(line, form)


def _read_line(line: str, columns: int, form: FileFormat) -> Record:
    """A line whose quotes are letters, if it has a field for each column and no cell in quotes."""
    fields = next(csv.reader([line], delimiter=form.delimiter, quoting=csv.QUOTE_NONE), [])
    is_quoted = any(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in fields)
    if len(fields) == columns and not is_quoted:
        return fields
    return DamagedLine(line.rstrip("\r\n"))
