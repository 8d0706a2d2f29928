"""Runs and versions in MLflow -> candidates compared with a champion, and the best versions kept.

Runs are kept for ever; the versions of candidates are retired.
"""

from collections.abc import Iterable
from typing import NamedTuple

import mlflow
from mlflow.entities import Run
from prefect import get_run_logger

from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion, check_version
from tasks.registry.gate import (
    COMPARED_WITH,
    FINGERPRINT,
    OUTCOME,
    TOLERANCE,
    VERSION,
    GateConfig,
)
from tasks.registry.model_registry import TaggedVersion, unpack_tags
from tasks.registry.release import versions
from tasks.registry.tracking.mlflow_client import connect, experiment_id

MAX_CANDIDATES = 10_000


class Refused(NamedTuple):
    """A version that was not promoted over the champion, and why."""

    version: str
    is_borderline: bool
    why: str


def compared_runs(client: mlflow.MlflowClient, champion: Champion) -> list[Run]:
    """Runs that the gate compared with a champion's training, newest first."""
    if not champion.run_id:
        return []
    wanted = f"tags.{COMPARED_WITH} = '{champion.run_id}'"
    runs: list[Run] = client.search_runs(
        [experiment_id(client)], wanted, max_results=MAX_CANDIDATES
    )
    return runs


def find_refused(
    client: mlflow.MlflowClient, champion: Champion, fingerprint: str, gate: GateConfig
) -> Refused | None:
    """The version with a fingerprint that the gate did not promote over the champion; or None.

    A gate with another tolerance may decide otherwise. A borderline version counts while it can be
    approved.
    """
    for run in compared_runs(client, champion):
        tags = run.data.tags
        if tags.get(FINGERPRINT) != fingerprint or tags.get(TOLERANCE) != str(gate.tolerance):
            continue
        refused = Refused(tags[VERSION], tags[OUTCOME] == "borderline", tags["promoted.why"])
        if tags[OUTCOME] == "rejected" or (refused.is_borderline and _exists(client, refused)):
            return refused
    return None


def _exists(client: mlflow.MlflowClient, refused: Refused) -> bool:
    return refused.version in {str(version.version) for version in versions(client)}


def count_candidates(champion: Champion, fingerprint: str) -> int:
    """Number of other candidates that were compared with the champion's training.

    Runs that repeat a training are one; those with this fingerprint are not counted.
    """
    runs = compared_runs(connect(), champion)
    return len({run.data.tags.get(FINGERPRINT, run.info.run_id) for run in runs} - {fingerprint})


def check_best_versions(champion: Champion) -> list[CheckedVersion]:
    """The best versions kept that are not the champion; damaged ones are logged.

    `clean_up` keeps them, but a person may have deleted one.
    """
    checked = [_check_best(number) for number in sorted({*champion.best.values()})]
    for remark in damage_of(checked):
        get_run_logger().warning(remark)
    return checked


def damage_of(best: Iterable[CheckedVersion]) -> list[str]:
    """A sentence for each of the best versions kept that cannot be compared."""
    return [
        f"version {version.version}, the best kept, cannot be compared: {version.damage}"
        for version in best
        if version.damage
    ]


def _check_best(number: str) -> CheckedVersion:
    by_number = {str(version.version): version for version in versions(connect())}
    if number not in by_number:
        return CheckedVersion(version=number, damage="it was deleted")
    return check_version(TaggedVersion(number, unpack_tags(by_number[number].tags)))
