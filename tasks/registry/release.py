"""Registered versions -> a list of them, another champion, or a comparison of two."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import mlflow
import pyarrow.parquet as pq
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.core.contracts import RegistryError, UserError
from tasks.registry.aliases import PREVIOUS, champion_lock, move_champion, versions_by_alias
from tasks.registry.champion import (
    another_root_error,
    from_tags,
    is_of_another_root,
    is_readable,
    model_folders,
    require_champion_of_this_root,
)
from tasks.registry.champion_check import USABLE, require_index
from tasks.registry.gate import CHAMPION_BEFORE, OUTCOME
from tasks.registry.model_registry import CHAMPION, MODEL, TaggedVersion, unpack_tags
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect

Row = dict[str, Any]
DELETED_RUN_CODES = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # of MlflowException
BY_HAND = "by_hand"  # tag of a version: when and how a person made it the champion
HEADLINE_METRICS = (
    "test_f1_micro",
    "test_f1_macro",
    "rec_keyword_ndcg_at_10",
    "rec_franchise_recall_at_10",
)


class Difference(NamedTuple):
    """Differences between versions a and b as table rows.

    Params are by name, metrics too after the headline ones, genres and lists by size of change.
    """

    params: list[Row]
    metrics: list[Row]
    genres: list[Row]
    lists: list[Row]


def versions(client: mlflow.MlflowClient) -> list[ModelVersion]:
    """All registered versions, newest first."""
    registered = client.search_model_versions(f"name = '{MODEL}'", max_results=10_000)
    return sorted(registered, key=lambda version: -int(version.version))


def registering_run(client: mlflow.MlflowClient, version: ModelVersion) -> Run:
    """The run that registered a version.

    Raises:
        UserError: the run was deleted from MLflow.
    """
    try:
        return client.get_run(str(version.run_id))
    except MlflowException as error:
        if error.error_code not in DELETED_RUN_CODES:
            raise
        raise UserError(
            f"The run of version {version.version} was deleted from MLflow, with its parameters "
            "and metrics."
        ) from error


def run_data(client: mlflow.MlflowClient, version: ModelVersion) -> tuple[dict[str, Any], Row]:
    """Tags and metrics of the run that registered a version; both empty if it was deleted."""
    try:
        run = registering_run(client, version)
    except UserError:
        return {}, {}
    return run.data.tags, without_groups(run.data.metrics)


def version_rows(client: mlflow.MlflowClient) -> list[Row]:
    """One row per version: date, source, preset, metrics, alias, and the promotion reason."""
    aliases = {number: alias for alias, number in versions_by_alias(client).items()}
    return [_version_row(client, version, aliases) for version in versions(client)]


def _version_row(
    client: mlflow.MlflowClient, version: ModelVersion, aliases: Mapping[str, str]
) -> Row:
    tags, metrics = run_data(client, version)
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    row = {
        "version": str(version.version),
        "role": aliases.get(str(version.version), ""),
        "made": f"{created:%Y-%m-%d %H:%M}",
        "source": tags.get("source", ""),
        "preset": tags.get("preset", ""),
        "why": promotion_reason(version),
    }
    return row | {name: metrics.get(name) for name in HEADLINE_METRICS}


def find_version(client: mlflow.MlflowClient, name: str) -> ModelVersion:
    """A version by number or alias.

    Raises:
        UserError: there is no such version.
    """
    number = versions_by_alias(client).get(name, name)
    registered = versions(client)
    for version in registered:
        if str(version.version) == number:
            return version
    numbers = ", ".join(str(version.version) for version in registered) or "none yet"
    raise UserError(f"There is no version '{name}'. There are: {numbers}.")


def promotion_reason(version: ModelVersion) -> str:
    """Why a version was or was not promoted: the gate's reason, and a later manual change."""
    gate, manual = version.tags.get("why", ""), version.tags.get(BY_HAND, "")
    return f"{manual}; promotion gate: {gate}" if manual and gate else manual or gate


def require_usable(version: ModelVersion) -> None:
    """Check a version's models and index before it becomes the champion.

    Raises:
        UserError: they are damaged or of another artifacts root, or another program or an early
            release registered the version.
    """
    tags = unpack_tags(version.tags)
    if not (is_readable(tags) and tags.keys() >= USABLE):
        raise UserError(
            f"Version {version.version} was not registered by this release: train again."
        )
    champion = from_tags(tags, str(version.version))
    if is_of_another_root(tags):
        raise another_root_error(TaggedVersion(champion.version, tags))
    model_folders(champion)
    require_index(champion)


def is_damaged(version: ModelVersion) -> bool:
    """Whether `require_usable` rejects a version.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
    """
    try:
        require_usable(version)
    except RegistryError:
        raise
    except UserError:
        return True
    return False


def approve(client: mlflow.MlflowClient, name: str) -> str:
    """Promote a version that waits for approval; return its number.

    Raises:
        UserError: there is no such version, it does not wait or cannot be used, or another version
            than the one that was champion when it was registered is the champion now.
    """
    with champion_lock():
        version = find_version(client, name)
        _require_waiting(version, versions_by_alias(client).get(CHAMPION, ""))
        return _make_champion(client, version, "approved")


def _require_waiting(version: ModelVersion, champion: str) -> None:
    number, outcome = str(version.version), version.tags.get(OUTCOME, "unknown")
    remedy = f"`release promote {number}` makes it the champion in any case."
    if outcome != "borderline":
        raise UserError(
            f"Version {number} waits for no approval: its gate said {outcome}. {remedy}"
        )
    if champion not in (number, unpack_tags(version.tags).get(CHAMPION_BEFORE, "")):
        raise UserError(
            f"Version {number} was compared with another champion than version {champion}: "
            f"train again. {remedy}"
        )


def promote(client: mlflow.MlflowClient, name: str) -> str:
    """Make a version the champion, and the champion before it `previous`; return its number.

    Raises:
        UserError: there is no such version, its protocol leaks, it is damaged, or the champion is
            of another artifacts root.
    """
    with champion_lock():
        return _make_champion(client, find_version(client, name), "promoted manually")


def _make_champion(client: mlflow.MlflowClient, version: ModelVersion, action: str) -> str:
    """Promote a usable version; call it under the lock.

    Who promotes a version accepts its loss: later ones are compared with it, not with a better one
    before it.
    """
    require_champion_of_this_root()
    run = registering_run(client, version)
    if run.data.tags.get("protocol") == "blog":
        raise UserError(
            f"Version {version.version} was trained on its test movies (preset blog): it "
            "cannot become the champion."
        )
    require_usable(version)
    if _promote(client, version, action):
        client.set_model_version_tag(MODEL, str(version.version), "best", "{}")
    return str(version.version)


def roll_back(client: mlflow.MlflowClient) -> str:
    """Make the previous champion the champion again; return its number.

    Raises:
        UserError: there is no previous champion, it is damaged, or the champion is of another
            artifacts root.
    """
    with champion_lock():
        require_champion_of_this_root()
        by_alias = versions_by_alias(client)
        if by_alias.get(PREVIOUS) in (None, by_alias.get(CHAMPION)):
            raise UserError("There is no previous champion to go back to.")
        version = find_version(client, PREVIOUS)
        require_usable(version)
        _promote(client, version, "rolled back to")
    return str(version.version)


def _promote(client: mlflow.MlflowClient, version: ModelVersion, action: str) -> bool:
    """Move the alias, and record the action in tags of the version and of its run.

    Returns whether the version was not the champion before.
    """
    number = str(version.version)
    current = versions_by_alias(client).get(CHAMPION)
    if current == number:
        return False
    damaged = current is not None and is_damaged(client.get_model_version(MODEL, current))
    move_champion(client, number, champion_is_damaged=damaged)
    entry = f"{action} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    client.set_model_version_tag(MODEL, number, BY_HAND, entry)
    client.set_tag(str(version.run_id), "promoted", "true")
    client.set_tag(str(version.run_id), "promoted.by_hand", entry)
    return True


def changed_values(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Row]:
    """Names whose values differ, with both values."""
    names = sorted(a.keys() | b.keys())
    return [
        {"name": name, "a": a.get(name), "b": b.get(name)}
        for name in names
        if a.get(name) != b.get(name)
    ]


def metric_changes(a: Mapping[str, float], b: Mapping[str, float]) -> list[Row]:
    """Metrics that differ: headline ones first, then by name."""
    names = a.keys() & b.keys()
    rows = changed_values({name: a[name] for name in names}, {name: b[name] for name in names})
    changes = [row | {"difference": row["b"] - row["a"]} for row in rows]
    return sorted(changes, key=lambda change: change["name"] not in HEADLINE_METRICS)


def genre_changes(a: Sequence[Row], b: Sequence[Row]) -> list[Row]:
    """F1 of each genre that both versions predict, greatest change first."""
    f1_of_b = {row["genre"]: row["f1"] for row in b}
    changes = [
        {
            "genre": row["genre"],
            "support": row["support"],
            "a": row["f1"],
            "b": f1_of_b[row["genre"]],
            "difference": f1_of_b[row["genre"]] - row["f1"],
        }
        for row in a
        if row["f1"] is not None and f1_of_b.get(row["genre"]) is not None
    ]
    return sorted(changes, key=lambda change: -abs(change["difference"]))


def list_changes(a: Sequence[Row], b: Sequence[Row]) -> list[Row]:
    """Overlap of the lists of each well-known film, least first, and the movies that changed.

    `stayed` is the share of movies in both lists, relative to the longer one.
    """
    lists_a, lists_b = _lists_by_film(a), _lists_by_film(b)
    changes = [
        {"film": film} | _list_change(old, lists_b[film])
        for film, old in lists_a.items()
        if film in lists_b
    ]
    return sorted(changes, key=lambda change: change["stayed"])


def _lists_by_film(rows: Sequence[Row]) -> dict[str, list[str]]:
    return {row["film"]: _titles(row["movies like it"]) for row in rows}


def _titles(movies: list[str] | str) -> list[str]:
    """The titles of a list, which earlier releases stored as one text."""
    return movies.split("; ") if isinstance(movies, str) else movies


def _list_change(old: Sequence[str], new: Sequence[str]) -> Row:
    return {
        "stayed": len(set(old) & set(new)) / max(len(old), len(new), 1),
        "left": "; ".join(movie for movie in old if movie not in new),
        "came": "; ".join(movie for movie in new if movie not in old),
    }


def diff_versions(client: mlflow.MlflowClient, a: str, b: str) -> Difference:
    """Differences between two versions, each a number or an alias.

    Raises:
        UserError: there is no such version, or its run was deleted.
    """
    run_a, run_b = (registering_run(client, find_version(client, name)) for name in (a, b))
    return Difference(
        params=changed_values(run_a.data.params, run_b.data.params),
        metrics=metric_changes(*(without_groups(run.data.metrics) for run in (run_a, run_b))),
        genres=genre_changes(_evaluation_rows(run_a, "genres"), _evaluation_rows(run_b, "genres")),
        lists=list_changes(
            _evaluation_rows(run_a, "sample_lists"), _evaluation_rows(run_b, "sample_lists")
        ),
    )


def _evaluation_rows(run: Run, table: str) -> list[Row]:
    """Rows of a logged evaluation table; none if the run, such as one of `refresh`, lacks it."""
    client = connect()
    path = f"evaluation/{table}.parquet"
    if path not in {file.path for file in client.list_artifacts(run.info.run_id, "evaluation")}:
        return []
    file = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/{path}")
    rows: list[Row] = pq.read_table(file).to_pylist()
    return rows
