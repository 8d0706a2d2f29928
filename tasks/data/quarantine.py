"""Quarantined rows -> a summary by reason, and what Prefect shows of them."""

from typing import Any

import pyarrow as pa

from tasks.core.contracts import IngestRef
from tasks.core.orchestration.artifact_tables import SHOWN_ROWS, show_table
from tasks.core.storage import store


def quarantine_summary(quarantine: pa.Table) -> list[dict[str, Any]]:
    """A row per reason and column: number of rows, and file, row and value of the first."""
    grouped = quarantine.group_by(["reason", "column"], use_threads=False).aggregate(
        [("row", "count"), ("source", "first"), ("row", "first"), ("value", "first")]
    )
    names = {"row_count": "rows", "source_first": "first_file", "row_first": "first_row"}
    names |= {"value_first": "first_value"}
    renamed = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    return list(renamed.sort_by([("rows", "descending")]).to_pylist())


def show_quarantine(ingested: IngestRef) -> None:
    """Show the quarantined rows in Prefect: a summary by reason, and the first rows."""
    quarantine = store.read(ingested.quarantine)
    rows = quarantine.slice(0, SHOWN_ROWS).to_pylist()
    counts = f"{ingested.source}: {ingested.quarantine.rows} of {ingested.rows} rows"
    show_table(
        quarantine_summary(quarantine),
        key="quarantine-summary",
        description=f"Reasons for which rows were quarantined, with the first of each ({counts}).",
    )
    show_table(
        rows,
        key="quarantine-rows",
        description=f"Quarantined rows with the values at fault, at most {SHOWN_ROWS} ({counts}).",
    )
