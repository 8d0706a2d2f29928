"""Runs in MLflow -> the candidates that were compared with a champion.

Runs are kept for ever; the versions of candidates are retired.
"""

from typing import NamedTuple

import mlflow
from mlflow.entities import Run

from tasks.core.retry import io_task
from tasks.registry.champion import Champion
from tasks.registry.gate import (
    COMPARED_WITH,
    FINGERPRINT,
    OUTCOME,
    TOLERANCE,
    VERSION,
    GateConfig,
    GateRecord,
)
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


@io_task("load-gate-record")
def load_gate_record(champion: Champion) -> GateRecord:
    """Number of candidates since the champion's promotion, and its loss against the best.

    Runs that repeat a training are one candidate.
    """
    runs = compared_runs(connect(), champion)
    candidates = {run.data.tags.get(FINGERPRINT, run.info.run_id) for run in runs}
    return GateRecord(candidates=len(candidates), below_best=champion.below_best)
