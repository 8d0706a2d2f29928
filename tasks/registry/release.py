"""Registered versions -> which one answers: list, promote, roll back, compare."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import mlflow
import pyarrow.parquet as pq
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.core.contracts import RegistryError, UserError
from tasks.registry.aliases import PREVIOUS, champion_lock, move_champion, versions_by_alias
from tasks.registry.champion import from_tags, model_folders
from tasks.registry.champion_check import ANSWERING, require_index
from tasks.registry.model_registry import CHAMPION, MODEL
from tasks.registry.tracking.mlflow_client import connect

Row = dict[str, Any]
GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's codes of a deleted run
BY_HAND = "by_hand"  # tag of a version that a person made the champion: how and when
SYSTEM = "system/"  # before MLflow's names of what the machine was busy with
HEADLINES = (
    "test_f1_micro",
    "test_f1_macro",
    "rec_franchise_recall_at_10",
    "rec_colike_ndcg_at_10",
)


class Difference(NamedTuple):
    """What sets two versions apart, each a list of rows, greatest change first."""

    params: list[Row]
    metrics: list[Row]
    genres: list[Row]
    lists: list[Row]


def versions(client: mlflow.MlflowClient) -> list[ModelVersion]:
    """Every registered version, newest first."""
    found = client.search_model_versions(f"name = '{MODEL}'", max_results=10_000)
    return sorted(found, key=lambda one: -int(one.version))


def registering_run(client: mlflow.MlflowClient, one: ModelVersion) -> Run:
    """The run that registered a version.

    Raises:
        UserError: it was deleted from MLflow.
    """
    try:
        return client.get_run(str(one.run_id))
    except MlflowException as error:
        if error.error_code not in GONE:
            raise
        raise UserError(
            f"The run of version {one.version} was deleted from MLflow: nothing is known of it."
        ) from error


def run_data(client: mlflow.MlflowClient, one: ModelVersion) -> tuple[dict[str, Any], Row]:
    """Tags and metrics of the run that registered a version; none where it was deleted."""
    try:
        run = registering_run(client, one)
    except UserError:
        return {}, {}
    return run.data.tags, run.data.metrics


def version_rows(client: mlflow.MlflowClient) -> list[Row]:
    """A row a version: when, from what, how good, which role, and why it was promoted or not."""
    roles = {version: name for name, version in versions_by_alias(client).items()}
    rows = []
    for one in versions(client):
        tags, metrics = run_data(client, one)
        made = datetime.fromtimestamp(one.creation_timestamp / 1000, UTC)
        row = {"version": str(one.version), "role": roles.get(str(one.version), "")}
        row |= {"made": f"{made:%Y-%m-%d %H:%M}", "source": tags.get("source", "")}
        row |= {"preset": tags.get("preset", ""), "why": promotion_reason(one)}
        rows.append(row | {name: metrics.get(name) for name in HEADLINES})
    return rows


def find_version(client: mlflow.MlflowClient, name: str) -> ModelVersion:
    """A version by number or alias.

    Raises:
        UserError: there is none; those that there are are named.
    """
    number = versions_by_alias(client).get(name, name)
    for one in versions(client):
        if str(one.version) == number:
            return one
    known = ", ".join(str(one.version) for one in versions(client)) or "none yet"
    raise UserError(f"There is no version '{name}'. There are: {known}.")


def promotion_reason(one: ModelVersion) -> str:
    """Why a version is or is not the champion: the gate's verdict, and what was done by hand."""
    gate, by_hand = one.tags.get("why", ""), one.tags.get(BY_HAND, "")
    return f"{by_hand}; the gate had said: {gate}" if by_hand and gate else by_hand or gate


def require_usable(one: ModelVersion) -> None:
    """Check that a version can answer before readers are sent to it.

    Raises:
        UserError: its models or its index are gone, or it was registered by something else.
    """
    if not one.tags.keys() >= ANSWERING:
        raise UserError(f"Version {one.version} was not registered by this release: train again.")
    champion = from_tags(one.tags, str(one.version))
    model_folders(champion)
    require_index(champion)


def is_damaged(one: ModelVersion) -> bool:
    """Whether a version's models or its index are gone or were changed."""
    try:
        require_usable(one)
    except UserError as error:
        if isinstance(error, RegistryError):
            raise
        return True
    return False


def promote(client: mlflow.MlflowClient, name: str) -> str:
    """Make a version the champion; the one before it becomes `previous`.

    Raises:
        UserError: there is no such version, it leaks, or it is damaged.
    """
    with champion_lock():
        one = find_version(client, name)
        run = registering_run(client, one)
        if run.data.tags.get("protocol") == "blog":
            raise UserError(f"Version {one.version} has seen its test movies: it is no champion.")
        require_usable(one)
        _promote(client, one, "promoted")
    return str(one.version)


def roll_back(client: mlflow.MlflowClient) -> str:
    """Make the previous champion the champion again.

    Raises:
        UserError: there has been no other, or it is damaged.
    """
    with champion_lock():
        named = versions_by_alias(client)
        if named.get(PREVIOUS) in (None, named.get(CHAMPION)):
            raise UserError("There is no previous champion to go back to.")
        one = find_version(client, PREVIOUS)
        require_usable(one)
        _promote(client, one, "rolled back to")
    return str(one.version)


def _promote(client: mlflow.MlflowClient, one: ModelVersion, how: str) -> None:
    """Move the alias by hand, and say so on the version and on the run that made it."""
    current = versions_by_alias(client).get(CHAMPION)
    if current == str(one.version):
        return
    damaged = current is not None and is_damaged(client.get_model_version(MODEL, current))
    move_champion(client, str(one.version), passed_over=damaged)
    by_hand = f"{how} by hand on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    client.set_model_version_tag(MODEL, str(one.version), BY_HAND, by_hand)
    client.set_tag(str(one.run_id), "promoted", "true")
    client.set_tag(str(one.run_id), "promoted.by_hand", by_hand)


def changed_values(one: dict[str, Any], other: dict[str, Any]) -> list[Row]:
    """Names whose values differ, with both values."""
    names = sorted(one.keys() | other.keys())
    return [
        {"name": name, "a": one.get(name), "b": other.get(name)}
        for name in names
        if one.get(name) != other.get(name)
    ]


def metric_changes(one: dict[str, float], other: dict[str, float]) -> list[Row]:
    """Metrics that both have and that differ, with the difference, by name; not the machine's."""
    both = [name for name in one.keys() & other.keys() if not name.startswith(SYSTEM)]
    rows = changed_values(*({name: of[name] for name in both} for of in (one, other)))
    return [row | {"difference": row["b"] - row["a"]} for row in rows]


def genre_changes(one: Sequence[Row], other: Sequence[Row]) -> list[Row]:
    """F1 of each genre that both know, greatest change first."""
    theirs = {row["genre"]: row["f1"] for row in other}
    rows = [
        {
            "genre": row["genre"],
            "support": row["support"],
            "a": row["f1"],
            "b": theirs[row["genre"]],
        }
        for row in one
        if row["f1"] is not None and theirs.get(row["genre"]) is not None
    ]
    found = [row | {"difference": row["b"] - row["a"]} for row in rows]
    return sorted(found, key=lambda row: -abs(row["difference"]))


def list_changes(one: Sequence[Row], other: Sequence[Row]) -> list[Row]:
    """Share of each well-known film's list that stayed, least first, with what left and came."""
    theirs = {row["film"]: row["movies like it"].split("; ") for row in other}
    rows = []
    for row in one:
        if row["film"] not in theirs:
            continue
        old, new = row["movies like it"].split("; "), theirs[row["film"]]
        stayed = len(set(old) & set(new)) / max(len(old), len(new))
        left, came = ("; ".join(m for m in a if m not in b) for a, b in ((old, new), (new, old)))
        rows.append({"film": row["film"], "stayed": stayed, "left": left, "came": came})
    return sorted(rows, key=lambda row: row["stayed"])


def diff_versions(client: mlflow.MlflowClient, one: str, other: str) -> Difference:
    """What sets version `other` (b) apart from version `one` (a)."""
    runs = [registering_run(client, find_version(client, name)) for name in (one, other)]
    genres, lists = (
        [_table(run, f"evaluation/{name}.parquet") for run in runs]
        for name in ("genres", "sample_lists")
    )
    return Difference(
        changed_values(*(run.data.params for run in runs)),
        metric_changes(*(run.data.metrics for run in runs)),
        genre_changes(*genres),
        list_changes(*lists),
    )


def _table(run: Run, path: str) -> list[Row]:
    """Rows of a logged table; none where the run, as one of `refresh`, has no such table."""
    mlflow.set_tracking_uri(connect().tracking_uri)
    known = {file.path for file in connect().list_artifacts(run.info.run_id, "evaluation")}
    if path not in known:
        return []
    file = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/{path}")
    rows: list[Row] = pq.read_table(file).to_pylist()
    return rows
