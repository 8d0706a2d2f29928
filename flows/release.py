"""release: list the registered versions, promote one, roll back, or compare two."""

from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from flows.runtime.parameters import FlowParameters
from tasks.registry.release import diff_versions, promote, roll_back, version_rows
from tasks.registry.tracking.mlflow_client import connect

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


def perform_action(config: ReleaseConfig) -> Tables:
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
    tables = perform_action(config)
    for title, rows in tables.items():
        create_table_artifact(rows, key=f"release-{title}", description=config.action)
    get_run_logger().info("%s %s done", config.action, " ".join(config.versions))
    return tables


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("release")
