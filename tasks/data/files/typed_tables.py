"""Parquet files and spreadsheets -> a header and rows of text cells."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook

from tasks.core.contracts import UserError
from tasks.data.files.cells import cell_text
from tasks.data.files.delimited import Record

BATCH_ROWS = 1000


def read_parquet(path: Path, known: Callable[[str], bool]) -> tuple[list[str], Iterator[Record]]:
    """Header and rows of a parquet file, read lazily; cells of columns that are not `known` are
    empty.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: the parquet file cannot be read ({error}).") from error
    return list(file.schema_arrow.names), _parquet_rows(path, file, known)


def _parquet_rows(
    path: Path, file: pq.ParquetFile, known: Callable[[str], bool]
) -> Iterator[Record]:
    are_read = list(map(known, file.schema_arrow.names))
    try:
        for batch in file.iter_batches(BATCH_ROWS):
            columns = zip(batch.columns, are_read, strict=True)
            cells = [
                _texts(column) if is_read else [""] * len(batch) for column, is_read in columns
            ]
            yield from map(list, zip(*cells, strict=True))
    except (pa.ArrowInvalid, OSError, OverflowError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the parquet file cannot be read ({error}).") from error


def _texts(column: pa.Array) -> list[str]:
    """The values of a column as text; a map becomes the list of its texts, keys or values."""
    values = column.to_pylist()
    if pa.types.is_map(column.type):
        part = 1 if pa.types.is_string(column.type.item_type) else 0
        values = [value and [pair[part] for pair in value] for value in values]
    return list(map(cell_text, values))


def read_spreadsheet(
    path: Path, known: Callable[[str], bool]
) -> tuple[list[str], Iterator[Record], str]:
    """Header and rows of the sheet with most `known` columns and of those with the same header.

    The text names these sheets if the file has others or several of them.

    Raises:
        UserError: the file cannot be read, or no sheet has rows.
    """
    try:
        workbook = CalamineWorkbook.from_path(str(path))
        sheets = {name: _sheet_rows(workbook, name) for name in workbook.sheet_names}
    except (CalamineError, OSError) as error:
        raise UserError(f"{path}: the spreadsheet cannot be read ({error}).") from error
    sheets = {name: rows for name, rows in sheets.items() if rows}
    if not sheets:
        raise UserError(f"{path}: no sheet has rows.")
    header = max((rows[0] for rows in sheets.values()), key=lambda row: sum(map(known, row)))
    read = [name for name, rows in sheets.items() if rows[0] == header]
    note = f", sheets {', '.join(read)} of {len(sheets)}" if len(sheets) > 1 else ""
    return header, chain.from_iterable(sheets[name][1:] for name in read), note


def _sheet_rows(workbook: CalamineWorkbook, name: str) -> list[list[str]]:
    rows = workbook.get_sheet_by_name(name).to_python()
    return [row for row in (list(map(cell_text, cells)) for cells in rows) if any(row)]
