"""A file of any format -> its header and rows, and how it is read."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tasks.core.contracts import UserError
from tasks.data.files.delimited import DamagedLine, Record, read_records
from tasks.data.files.detection import (
    BROKEN_FILE,
    TEXT,
    FileFormat,
    detect_format,
    guess_encoding,
    open_text,
    without_hint,
)
from tasks.data.files.json_rows import read_json
from tasks.data.files.typed_tables import read_parquet, read_spreadsheet


class Table(NamedTuple):
    """An opened file: its header, its rows, which are read lazily, and its format."""

    header: list[str]
    rows: Iterator[Record]
    format: FileFormat


def open_table(
    path: Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    known: Callable[[str], bool] = bool,
) -> Table:
    """Open delimited text, JSON (also compressed), parquet or a spreadsheet, told by its content.

    `known` says of a column name whether it is one that is read. Of columns with the same name, the
    first is read.

    Raises:
        UserError: the file is empty or cannot be read.
    """
    csv.field_size_limit(2**31 - 1)  # the default of 128 kB is too small for some overviews
    with _errors_for_the_user(path):
        form = detect_format(path, encoding, delimiter, known)
    with _errors_for_the_user(path, form):
        header, rows, form = _read(path, form, known)
    return Table([name.strip() for name in header], _readable(path, form, rows), form)


def _read(
    path: Path, form: FileFormat, known: Callable[[str], bool]
) -> tuple[list[str], Iterator[Record], FileFormat]:
    if form.kind == "parquet":
        return *read_parquet(path, known), form
    if form.kind == "spreadsheet":
        names, records, sheets = read_spreadsheet(path, known)
        return names, records, form._replace(sheets=sheets)
    if form.kind == "json":
        return *read_json(path, form.encoding), form
    rows = _text_rows(path, form)
    header = next(rows, [])
    if isinstance(header, DamagedLine):
        raise UserError(f"{path}: the header cannot be read: {header.text[:200]}")
    return header, rows, form


def _text_rows(path: Path, form: FileFormat) -> Iterator[Record]:
    with open_text(path, form.encoding) as text:
        first = next(text, "")
        yield from read_records(chain(without_hint([first]), text), form)


def _readable(path: Path, form: FileFormat, rows: Iterator[Record]) -> Iterator[Record]:
    with _errors_for_the_user(path, form):
        yield from rows


@contextmanager
def _errors_for_the_user(path: Path, form: FileFormat = TEXT) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise UserError(_undecodable(path, form)) from None
    except BROKEN_FILE as error:
        raise UserError(f"{path}: the file cannot be read ({error}).") from error


def _undecodable(path: Path, form: FileFormat) -> str:
    """Message with the first row and column that cannot be decoded, and the likeliest encoding."""
    likely = guess_encoding(path)
    advice = f", or give --ingest.encoding {likely}, which it looks like" if likely else ""
    place = _undecodable_place(path, form)
    return f"{path}: {place} is not {form.encoding.upper()}. Save the file as UTF-8{advice}."


def _undecodable_place(path: Path, form: FileFormat) -> str:
    with open_text(path, form.encoding, "surrogateescape") as text:
        header, *rows = filter(None, csv.reader(form.plain(text), **form.csv_options))
    if any(map(_has_undecoded_bytes, header)):
        return "its header"
    for row, fields in enumerate(rows, start=1):
        for column, cell in zip(header, fields, strict=False):
            if _has_undecoded_bytes(cell):
                return f"row {row}, column '{column}'"
    return "the text"


def _has_undecoded_bytes(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)
