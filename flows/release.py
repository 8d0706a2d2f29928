"""release: list the registered versions, approve or promote one, roll back, or compare two."""

from collections.abc import Mapping
from typing import Any, Literal

from prefect import flow, get_run_logger
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from flows.runtime.hooks import record_crash
from flows.runtime.parameters import FlowParameters
from tasks.core.orchestration.artifact_tables import SHOWN_ROWS, number_text, show_table
from tasks.core.redaction import redacted
from tasks.registry.release import approve, diff_versions, promote, roll_back, version_rows
from tasks.registry.tracking.mlflow_client import connect

Tables = dict[str, list[dict[str, Any]]]
#: What the tables show, by title; the versions that are compared are filled in.
DESCRIPTIONS = {
    "versions": "All registered versions, newest first: their scores, and why each was or was not "
    "promoted.",
    "params": "Settings that differ between version {0} (a) and version {1} (b).",
    "metrics": "Metrics that differ between version {0} (a) and version {1} (b), headlines first.",
    "genres": "F1 of each genre in version {0} (a) and version {1} (b), greatest change first.",
    "lists": "What left and what came in the lists of well-known films from version {0} to {1}.",
}


class ReleaseConfig(FlowParameters):
    """What to do with registered versions."""

    form_fields = ("action", "versions")

    action: CliPositionalArg[Literal["list", "approve", "promote", "rollback", "diff"]] = Field(
        description="list versions; approve one that waits; promote any; rollback to the previous "
        "champion; diff two"
    )
    versions: CliPositionalArg[list[str]] = Field(
        [],
        description="Version numbers, `champion` or `previous`: one to approve or promote, "
        "two to diff",
    )
    as_json: bool = Field(False, alias="json", description="Print JSON instead of tables")

    @property
    def run_name(self) -> str:
        """Action and versions, as they appear in the name of the run."""
        return "-".join(["release", self.action, *self.versions])

    @model_validator(mode="after")
    def _check_version_count(self) -> "ReleaseConfig":
        expected = {"approve": 1, "promote": 1, "diff": 2}.get(self.action, 0)
        if len(self.versions) != expected:
            takes = ("no version", "1 version", "2 versions")[expected]
            raise ValueError(f"{self.action} takes {takes}, got {len(self.versions)}")
        return self


def perform_action(config: ReleaseConfig) -> Tables:
    """Perform the action; tables of the versions or of their differences, by title.

    Raises:
        UserError: there is no such version, or no previous champion.
    """
    client = connect()
    if config.action == "diff":
        return diff_versions(client, *config.versions)._asdict()
    if config.action == "approve":
        approve(client, *config.versions)
    if config.action == "promote":
        promote(client, *config.versions)
    if config.action == "rollback":
        roll_back(client)
    return {"versions": version_rows(client)}


def show(config: ReleaseConfig, tables: Tables) -> None:
    """Show the tables in Prefect; what was done is not undone where that fails."""
    try:
        for title, rows in tables.items():
            show_table(
                map(readable, rows[:SHOWN_ROWS]),
                key=f"release-{title}",
                description=DESCRIPTIONS[title].format(*config.versions),
            )
    except Exception as error:
        get_run_logger().warning("The tables are not shown: %s", redacted(str(error)))


def readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose numbers are rounded by the metric that it is about, if it is about one.

    A long reason is its last column.
    """
    name = str(row.get("name", ""))
    cells = {
        column: number_text(name, value) if isinstance(value, float) else value
        for column, value in row.items()
    }
    return cells | {"why": cells.pop("why")} if "why" in cells else cells


@flow(
    name="release",
    flow_run_name="{config.run_name}-{config.clock}",
    on_running=[record_crash],
    on_completion=[record_crash],
    on_failure=[record_crash],
)
def release(config: ReleaseConfig) -> Tables:
    """Perform the action and show the tables as artifacts in Prefect."""
    tables = perform_action(config)
    show(config, tables)
    get_run_logger().info("%s %s done", config.action, " ".join(config.versions))
    return tables


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("release")
