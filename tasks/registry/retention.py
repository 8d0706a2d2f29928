"""Versions, models of failed runs, cache and logs -> those within the configured limits.

Metrics, plots and reports stay in MLflow without a limit.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import mlflow
from mlflow.entities import Run, RunStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from prefect import get_run_logger

from tasks.core.contracts import RUN_PREFIX
from tasks.core.storage import store
from tasks.recommend.index import drop_versions, lancedb_uri, version_tags
from tasks.registry.aliases import champion_lock, training_run_id, versions_by_alias
from tasks.registry.config import RetentionConfig
from tasks.registry.model_registry import MODEL, unpack_tags
from tasks.registry.release import DELETED_RUN_CODES, versions
from tasks.registry.tracking.mlflow_client import connect, experiment_id

#: Large files and folders of a run, needed only as long as its version can be promoted.
LARGE_ARTIFACTS = ("doc2vec", "classifier", "lexicon", "movie_embeddings.parquet")
LAST_VERSIONS = 2  # kept per training: the newest one and the one before the last refresh
FILES_DELETED = "files_deleted"  # tag of a run whose large files were deleted
DAY_SECONDS = 24 * 3600.0


def split_by_retention(
    registered: Sequence[ModelVersion], in_use: Iterable[str], trainings: int
) -> tuple[list[ModelVersion], list[ModelVersion]]:
    """Versions to keep and versions to retire; `registered` and the results are newest first.

    Kept are the versions `in_use`, versions that another program registered, and of the newest
    `trainings` the first version and the last `LAST_VERSIONS`. A training is as old as
    its first version.
    """
    by_training: dict[str | None, list[ModelVersion]] = {}
    for version in registered:
        by_training.setdefault(training_run_id(version), []).append(version)
    foreign = by_training.pop(None, [])
    newest = sorted(by_training.values(), key=lambda group: -int(group[-1].version))[:trainings]
    protected = {*in_use, *(str(version.version) for version in foreign)}
    for group in newest:
        protected |= {str(version.version) for version in (*group[:LAST_VERSIONS], group[-1])}
    keep = [version for version in registered if str(version.version) in protected]
    return keep, [version for version in registered if str(version.version) not in protected]


def retire_versions(client: mlflow.MlflowClient, trainings: int) -> list[str]:
    """Delete old versions with their models and indexes; return their numbers.

    Metrics stay, and so do the models that a remaining version uses. An interrupted clean-up is
    completed by the next one, since a version is deleted after everything that belongs to it.
    """
    with champion_lock():
        registered = versions(client)
        keep, retire = split_by_retention(
            registered, versions_in_use(client, registered), trainings
        )
        for version in retire:
            delete_model(client, str(version.source).removeprefix("models:/"))
        trained_by = {unpack_tags(version.tags)["run_id"] for version in retire}
        for run_id in trained_by - runs_in_use(keep):
            delete_large_artifacts(client, run_id)
        drop_unused_indexes(client, retire)
        for version in retire:
            client.delete_model_version(MODEL, version.version)
    return [str(version.version) for version in retire]


def versions_in_use(client: mlflow.MlflowClient, registered: Iterable[ModelVersion]) -> set[str]:
    """Numbers of the versions with an alias, and of the best ones that the gate compares with."""
    aliased = {*versions_by_alias(client).values()}
    tags = [unpack_tags(version.tags) for version in registered if str(version.version) in aliased]
    best = (json.loads(of_version.get("best", "{}")).values() for of_version in tags)
    return aliased.union(*best)


def drop_unused_indexes(client: mlflow.MlflowClient, retired: Iterable[ModelVersion]) -> None:
    """Drop index versions of retired versions and of ended runs that registered none."""
    retired_numbers = {version.version for version in retired}
    used = {
        unpack_tags(version.tags).get("index_tag")
        for version in versions(client)
        if version.version not in retired_numbers
    }
    unused = version_tags(lancedb_uri()) - used
    drop_versions(lancedb_uri(), [tag for tag in sorted(unused) if has_ended(client, tag)])


def runs_in_use(registered: Iterable[ModelVersion]) -> set[str]:
    """Ids of the runs that trained or registered some versions."""
    return {
        str(run_id)
        for version in registered
        for run_id in (training_run_id(version), version.run_id)
    }


def delete_model(client: mlflow.MlflowClient, model: str) -> None:
    """Delete a logged model and its files; does nothing if it is already deleted."""
    try:
        location = client.get_logged_model(model).artifact_location
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return
    delete_files(location)
    client.delete_logged_model(model)


def delete_large_artifacts(client: mlflow.MlflowClient, run_id: str) -> None:
    """Delete the model files of a run; metrics, plots and report stay.

    Does nothing if the run was deleted from MLflow.
    """
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in DELETED_RUN_CODES:
            raise
        return
    for name in LARGE_ARTIFACTS:
        delete_files(run.info.artifact_uri, name)
    client.set_tag(run_id, FILES_DELETED, "true")


def delete_files(location: str, path: str | None = None) -> None:
    """Delete all files of a run or model, or one path of them, in any storage of MLflow."""
    get_artifact_repository(location).delete_artifacts(path)  # type: ignore[no-untyped-call]


def index_run_id(tag: str) -> str:
    """Id of the run that wrote an index version."""
    return tag.removeprefix(RUN_PREFIX).split("-")[0]


def has_ended(client: mlflow.MlflowClient, tag: str) -> bool:
    """Whether the run that wrote an index version has ended; false if MLflow has no such run."""
    try:
        status = client.get_run(index_run_id(tag)).info.status
    except MlflowException as error:
        if error.error_code in DELETED_RUN_CODES:
            return False
        raise
    return bool(RunStatus.is_terminated(RunStatus.from_string(status)))


def delete_failed_models(client: mlflow.MlflowClient, days: float) -> int:
    """Delete the model files of runs that failed more than `days` ago; return the run count."""
    experiment = experiment_id(client)
    runs = failed_runs(client, experiment, days)
    for run in runs:
        query = f"source_run_id = '{run.info.run_id}'"
        for model in client.search_logged_models([experiment], query):
            delete_model(client, model.model_id)
        delete_large_artifacts(client, run.info.run_id)
    return len(runs)


def failed_runs(client: mlflow.MlflowClient, experiment: str, days: float) -> list[Run]:
    """Failed and killed runs that ended more than `days` ago and still have their model files."""
    in_use = runs_in_use(versions(client))
    latest_end = int((time.time() - days * DAY_SECONDS) * 1000)
    ended = f"attributes.end_time < {latest_end}"
    return [
        run
        for status in ("FAILED", "KILLED")
        for run in client.search_runs([experiment], f"{ended} AND attributes.status = '{status}'")
        if run.info.run_id not in in_use and FILES_DELETED not in run.data.tags
    ]


def delete_old_logs(folder: Path, days: float) -> int:
    """Delete log files that were not written to for `days`; return the number of files."""
    latest_change = time.time() - days * DAY_SECONDS
    old_files = [file for file in folder.glob("*.log*") if file.stat().st_mtime < latest_change]
    for file in old_files:
        file.unlink(missing_ok=True)
    return len(old_files)


def _steps(config: RetentionConfig) -> dict[str, Callable[[], object]]:
    """Clean-up steps by the text under which their result is logged."""
    logs = store.artifacts_root() / "logs"
    return {
        "versions retired": lambda: ", ".join(retire_versions(connect(), config.trainings)),
        "failed runs whose models were deleted": lambda: delete_failed_models(
            connect(), config.failed_days
        ),
        "old log files deleted": lambda: delete_old_logs(logs, config.log_days),
        "bytes of cache freed": lambda: store.prune(
            int(config.cache_gb * 1e9), store.oldest_writer_start() - store.GRACE_SECONDS
        ),
    }


def clean_up(config: RetentionConfig) -> None:
    """Limit disk use after a run. A failed step is logged, and repeated after the next run.

    It raises nothing, since the run has already published its result.
    """
    logger = get_run_logger()
    for description, step in _steps(config).items():
        try:
            result = step()
        except Exception as error:
            logger.error("Clean-up failed (%s): %s", description, error, exc_info=error)
        else:
            if result:
                logger.info("Clean-up, %s: %s", description, result)
