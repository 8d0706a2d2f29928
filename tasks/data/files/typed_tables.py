"""Parquet files and spreadsheets -> a header and rows of text cells."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook

from tasks.core.contracts import UserError
from tasks.data.files.cells import cell_text
from tasks.data.files.delimited import Record

BATCH_ROWS = 1000


def read_parquet(path: Path) -> tuple[list[str], Iterator[Record]]:
    """Header and rows of a parquet file; the rows are read lazily.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: the parquet file cannot be read ({error}).") from error
    return list(file.schema_arrow.names), _parquet_rows(path, file)


def _parquet_rows(path: Path, file: pq.ParquetFile) -> Iterator[Record]:
    try:
        for batch in file.iter_batches(BATCH_ROWS):
            yield from map(list, zip(*map(_texts, batch.columns), strict=True))
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the parquet file cannot be read ({error}).") from error


def _texts(column: pa.Array) -> list[str]:
    """The values of a column as text; a map becomes the list of its texts, keys or values."""
    values = column.to_pylist()
    if pa.types.is_map(column.type):
        part = 1 if pa.types.is_string(column.type.item_type) else 0
        values = [value and [pair[part] for pair in value] for value in values]
    return list(map(cell_text, values))


def read_spreadsheet(path: Path) -> tuple[list[str], Iterator[Record]]:
    """Header and rows of the first sheet that has any.

    Raises:
        UserError: the file cannot be read, or no sheet has rows.
    """
    try:
        workbook = CalamineWorkbook.from_path(str(path))
        sheets = (workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names)
        rows = next((rows for rows in sheets if rows), [])
    except (CalamineError, OSError) as error:
        raise UserError(f"{path}: the spreadsheet cannot be read ({error}).") from error
    if not rows:
        raise UserError(f"{path}: no sheet has rows.")
    header, *records = [list(map(cell_text, row)) for row in rows]
    return header, filter(any, iter(records))
