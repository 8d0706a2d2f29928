"""Registered versions -> which one answers: list, promote, roll back, compare, retire old ones."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import mlflow
import pyarrow.parquet as pq
from mlflow.entities import Run, RunStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.champion import MODEL
from tasks.contracts import RUN_PREFIX, UserError
from tasks.index import drop_versions, lancedb_uri, version_tags
from tasks.track import PREVIOUS, connect, set_champion

Row = dict[str, Any]
#: What of a run is big, and of no use once its version cannot be promoted any more.
BIG = ("doc2vec", "classifier", "lexicon", "movie_embeddings.parquet")
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


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    """Version by alias: `champion`, and `previous` once there has been another."""
    try:
        found = client.get_registered_model(MODEL).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {name: str(version) for name, version in found.items()}


def run_of(client: mlflow.MlflowClient, one: ModelVersion) -> Run:
    """The run that registered a version."""
    return client.get_run(str(one.run_id))


def version_rows(client: mlflow.MlflowClient) -> list[Row]:
    """A row a version: when, from what, how good, which role, and why it was promoted or not."""
    roles = {version: name for name, version in aliases(client).items()}
    rows = []
    for one in versions(client):
        run = run_of(client, one)
        made = datetime.fromtimestamp(one.creation_timestamp / 1000, UTC)
        row = {"version": str(one.version), "role": roles.get(str(one.version), "")}
        row |= {"made": f"{made:%Y-%m-%d %H:%M}", "source": run.data.tags.get("source", "")}
        row |= {"preset": run.data.tags.get("preset", ""), "why": one.tags.get("why", "")}
        rows.append(row | {name: run.data.metrics.get(name) for name in HEADLINES})
    return rows


def version_of(client: mlflow.MlflowClient, name: str) -> ModelVersion:
    """A version by number or alias.

    Raises:
        UserError: there is none; those that there are are named.
    """
    number = aliases(client).get(name, name)
    for one in versions(client):
        if str(one.version) == number:
            return one
    known = ", ".join(str(one.version) for one in versions(client)) or "none yet"
    raise UserError(f"There is no version '{name}'. There are: {known}.")


def promote(client: mlflow.MlflowClient, name: str) -> str:
    """Make a version the champion; the one before it becomes `previous`.

    Raises:
        UserError: there is no such version, or it leaks.
    """
    one = version_of(client, name)
    if run_of(client, one).data.tags.get("protocol") == "blog":
        raise UserError(f"Version {one.version} has seen its test movies: it is no champion.")
    set_champion(client, str(one.version))
    return str(one.version)


def roll_back(client: mlflow.MlflowClient) -> str:
    """Make the previous champion the champion again.

    Raises:
        UserError: there has been no other.
    """
    if PREVIOUS not in aliases(client):
        raise UserError("There is no previous champion to go back to.")
    return promote(client, PREVIOUS)


def changed(one: dict[str, Any], other: dict[str, Any]) -> list[Row]:
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
    rows = changed(*({name: of[name] for name in both} for of in (one, other)))
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


def difference(client: mlflow.MlflowClient, one: str, other: str) -> Difference:
    """What sets version `other` (b) apart from version `one` (a)."""
    runs = [run_of(client, version_of(client, name)) for name in (one, other)]
    genres, lists = (
        [_table(run, f"evaluation/{name}.parquet") for run in runs]
        for name in ("genres", "sample_lists")
    )
    return Difference(
        changed(*(run.data.params for run in runs)),
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


def retired(
    found: Sequence[ModelVersion], roles: Iterable[str], keep: int
) -> tuple[list[ModelVersion], list[ModelVersion]]:
    """Versions that stay (those with a role, and the `keep` newest), and the rest; newest first."""
    held = set(roles)
    stay = [at < keep or str(one.version) in held for at, one in enumerate(found)]
    pairs = list(zip(found, stay, strict=True))
    return [one for one, on in pairs if on], [one for one, on in pairs if not on]


def retire_versions(client: mlflow.MlflowClient, keep: int) -> list[str]:
    """Delete the models and index versions that cannot be gone back to, and what dead runs left;
    scores stay.

    The champion and the previous one never go, nor the run whose models they answer with.
    """
    stay, go = retired(versions(client), aliases(client).values(), keep)
    used = {one.tags.get("run_id") for one in stay} | {one.run_id for one in stay}
    for one in go:
        delete_model(client, str(one.source).removeprefix("models:/"))
    for run_id in {one.tags["run_id"] for one in go} - used:
        for name in BIG:
            delete_files(client.get_run(run_id).info.artifact_uri, name)
    unused = version_tags(lancedb_uri()) - {one.tags["index_tag"] for one in stay}
    drop_versions(lancedb_uri(), [tag for tag in sorted(unused) if has_ended(client, tag)])
    for one in go:  # last, so that a clean-up that is cut off is done again
        client.delete_model_version(MODEL, one.version)
    return [str(one.version) for one in go]


def delete_model(client: mlflow.MlflowClient, model: str) -> None:
    """Delete a logged model and its files; nothing where that was done before."""
    try:
        location = client.get_logged_model(model).artifact_location
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return
    delete_files(location)
    client.delete_logged_model(model)


def has_ended(client: mlflow.MlflowClient, tag: str) -> bool:
    """Whether the run that wrote a version has ended, well or not: no other may lose its own."""
    try:
        status = client.get_run(tag.removeprefix(RUN_PREFIX)).info.status
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise
    return bool(RunStatus.is_terminated(RunStatus.from_string(status)))


def delete_files(location: str, path: str | None = None) -> None:
    """Delete a run's or model's files, or one of them, wherever MLflow keeps them."""
    get_artifact_repository(location).delete_artifacts(path)  # type: ignore[no-untyped-call]


@task(name="retire", cache_policy=NO_CACHE)
def retire(keep: int) -> None:
    """Free what versions take that are neither champion nor previous nor among the newest."""
    gone = retire_versions(connect(), keep)
    if gone:
        get_run_logger().info("Versions retired: %s", ", ".join(gone))
