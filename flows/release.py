"""release: list the registered versions, promote one, roll back, or compare two."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from flows.cli.command_line import DONE, main
from flows.parameters import FlowParameters
from tasks.registry.model_registry import limit_client
from tasks.registry.release import diff_versions, promote, roll_back, version_rows
from tasks.registry.tracking.tracking import connect

#: Columns of versions in the terminal, and their heads there.
HEADS = {"version": "version", "role": "role", "made": "made", "source": "source"}
HEADS |= {"test_f1_micro": "F1 micro", "test_f1_macro": "macro", "why": "why"}
SHOWN = 15  # changed metrics, genres and lists in the terminal; --json has all
Tables = dict[str, list[dict[str, Any]]]


class ReleaseConfig(FlowParameters):
    """What to do with registered versions."""

    form_fields = ("action", "versions")

    action: CliPositionalArg[Literal["list", "promote", "rollback", "diff"]] = Field(
        description="list versions; promote one; rollback to the previous champion; diff two"
    )
    versions: CliPositionalArg[list[str]] = Field(
        [], description="Version numbers, `champion` or `previous`: one to promote, two to diff"
    )
    as_json: bool = Field(False, alias="json", description="Print JSON instead of tables")

    @model_validator(mode="after")
    def _check_version_count(self) -> "ReleaseConfig":
        expected = {"promote": 1, "diff": 2}.get(self.action, 0)
        if len(self.versions) != expected:
            takes = ("no version", "1 version", "2 versions")[expected]
            raise ValueError(f"{self.action} takes {takes}, got {len(self.versions)}")
        return self


def answer(config: ReleaseConfig) -> Tables:
    """Perform the action; tables of the versions or of their differences, by title.

    Raises:
        UserError: there is no such version, or no previous champion.
    """
    client = connect()
    if config.action == "diff":
        return diff_versions(client, *config.versions)._asdict()
    if config.action == "promote":
        promote(client, *config.versions)
    if config.action == "rollback":
        roll_back(client)
    return {"versions": version_rows(client)}


@flow(name="release", flow_run_name="release-{config.action}")
def release(config: ReleaseConfig) -> Tables:
    """Perform the action and show the tables as artifacts in Prefect."""
    tables = answer(config)
    for title, rows in tables.items():
        create_table_artifact(rows, key=f"release-{title}", description=config.action)
    get_run_logger().info("%s %s done", config.action, " ".join(config.versions))
    return tables


def heads(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of versions fits a terminal."""
    return [{head: row[name] for name, head in HEADS.items()} for row in rows]


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table."""
    if not rows:
        Console().print(f"{title}: none")
        return
    table = Table(title=title)
    for column in rows[0]:
        number = any(isinstance(row[column], int | float) for row in rows)
        table.add_column(column, justify="right" if number else "left")
    for row in rows[:SHOWN]:
        table.add_row(*map(_cell, row.values()))
    Console().print(table)
    if len(rows) > SHOWN:
        Console().print(f"and {len(rows) - SHOWN} more (--json shows them)")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def command(config: ReleaseConfig) -> int:
    """From the terminal: no Prefect server is needed to move an alias."""
    limit_client()
    found = answer(config)
    if config.as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for title, rows in found.items():
            show(title, heads(rows) if title == "versions" else rows)
    return DONE


if __name__ == "__main__":
    main(ReleaseConfig, "python -m flows.release", command)
