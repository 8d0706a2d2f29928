"""release: which registered version answers. List, promote, roll back, compare two."""

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
from tasks.registry.tracking.mlflow_client import connect

#: Columns of versions in the terminal, and their heads there.
HEADS = {"version": "version", "role": "role", "made": "made", "source": "source"}
HEADS |= {"test_f1_micro": "F1 micro", "test_f1_macro": "macro", "why": "why"}
SHOWN = 15  # changed metrics, genres and lists in the terminal; --json has all
Tables = dict[str, list[dict[str, Any]]]


class ReleaseConfig(FlowParameters):
    """Which version answers, and what sets versions apart."""

    form_fields = ("action", "versions")

    action: CliPositionalArg[Literal["list", "promote", "rollback", "diff"]] = Field(
        description="list versions; promote one; rollback to the previous champion; diff two"
    )
    versions: CliPositionalArg[list[str]] = Field(
        [], description="Numbers, or `champion` and `previous`: one to promote, two to diff"
    )
    as_json: bool = Field(False, alias="json", description="Print JSON and not tables")

    @model_validator(mode="after")
    def _as_many_as_needed(self) -> "ReleaseConfig":
        needed = {"promote": 1, "diff": 2}.get(self.action, 0)
        if len(self.versions) != needed:
            takes = ("no version", "1 version", "2 versions")[needed]
            raise ValueError(f"{self.action} takes {takes}, {len(self.versions)} given")
        return self


def answer(config: ReleaseConfig) -> Tables:
    """Do it; tables by title that say what is or was changed.

    Raises:
        UserError: no such version, or none to go back to.
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
    """As from the terminal, with the tables as artifacts."""
    found = answer(config)
    for title, rows in found.items():
        create_table_artifact(rows, key=f"release-{title}", description=config.action)
    get_run_logger().info("%s %s done", config.action, " ".join(config.versions))
    return found


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
