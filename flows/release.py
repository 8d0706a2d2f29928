"""release: which registered version answers. List, promote, roll back, compare two."""

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


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("release")
