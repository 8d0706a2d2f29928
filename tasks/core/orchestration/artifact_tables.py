"""Rows of a table -> a table artifact in Prefect that a person reads without effort."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.context import FlowRunContext

SHOWN_ROWS = 200  # maximum rows of a table
#: Columns of the shown movies of a recommendation list. Prefect's page puts names that are numbers
#: before all others.
PLACES = ("1st", "2nd", "3rd", "4th", "5th")
LIST_LENGTH = len(PLACES)
MISSING = "–"


def show_table(rows: Iterable[Mapping[str, Any]], key: str, description: str) -> None:
    """Create a table artifact; `description` says in a sentence what the rows are.

    Outside a flow run there is nothing to show it in.
    """
    if FlowRunContext.get() is None:
        return
    table = [{name: cell(name, value) for name, value in row.items()} for row in rows]
    create_table_artifact(table, key=key, description=description)


def cell(name: str, value: Any) -> Any:
    """A value of column `name` as it is read: scores with three decimals, seconds with one.

    Items of a list are joined by commas.
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(name, value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value


def number_text(name: str, value: float) -> str:
    """A number of a column, or of a metric, of this name; a whole one above 1 has no decimals."""
    if value.is_integer() and abs(value) > 1:
        return f"{value:.0f}"
    return f"{value:.1f}" if "seconds" in name else f"{value:.3f}"


def list_columns(movies: Sequence[str] | None) -> dict[str, str]:
    """The first movies of a recommendation list as columns; `–` where there is none."""
    return dict(zip_longest(PLACES, (movies or ())[:LIST_LENGTH], fillvalue=MISSING))
