"""The subcommand `release`: list, approve, promote, roll back or compare versions; print them."""

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from flows.cli.command_line import DONE
from flows.cli.terminal import text_console
from flows.release import ReleaseConfig, perform_action, release
from flows.runtime.run_logs import without_console
from flows.runtime.server import running_prefect_server
from tasks.registry.model_registry import limit_client

#: Fields of a version that are printed, with their column heads.
COLUMN_HEADS = {
    "version": "version",
    "role": "role",
    "made": "made",
    "source": "source",
    "test_f1_micro": "F1 micro",
    "test_f1_macro": "F1 macro",
}
MAX_ROWS = 15  # printed of a table; `--json` prints all


def command(config: ReleaseConfig) -> int:
    """Change or list releases; where a Prefect server is up, this is a run there."""
    limit_client()
    with without_console(), running_prefect_server() as is_running:
        tables = release(config) if is_running else perform_action(config)
    if config.as_json:
        print(json.dumps(tables, ensure_ascii=False, indent=2))
        return DONE
    for title, rows in tables.items():
        show(title, version_columns(rows) if title == "versions" else rows)
    show_reasons(tables.get("versions", []))
    return DONE


def version_columns(versions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The printed fields of each version, by column head."""
    return [{head: version[name] for name, head in COLUMN_HEADS.items()} for version in versions]


def show_reasons(versions: Sequence[dict[str, Any]]) -> None:
    """Print why each version became the champion or did not: too long for a column."""
    for version in versions[:MAX_ROWS]:
        text_console().print(f"{version['version']}: {version['why']}")


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table with at most `MAX_ROWS` rows."""
    console = text_console()
    if not rows:
        console.print(f"{title}: none")
        return
    table = Table(title=title)
    for column in rows[0]:
        is_numeric = any(isinstance(row[column], int | float) for row in rows)
        table.add_column(column, justify="right" if is_numeric else "left")
    for row in rows[:MAX_ROWS]:
        table.add_row(*map(_cell, row.values()))
    console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"and {len(rows) - MAX_ROWS} more (--json shows them)")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
