"""What runs left behind -> what is kept: versions, failed runs' models, cached stages, logs.

Scores, plots and reports stay in MLflow for good. Everything else has its limit here.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import mlflow
from mlflow.entities import RunStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from tasks.core.contracts import RUN_PREFIX
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.recommend.index import drop_versions, lancedb_uri, version_tags
from tasks.registry.aliases import champion_lock, training_run_id, versions_by_alias
from tasks.registry.model_registry import MODEL
from tasks.registry.release import GONE, versions
from tasks.registry.tracking.mlflow_client import (
    connect,
    experiment_id,
    require_experiment_of_this_root,
)

#: What of a run is big, and of no use once its version cannot be promoted any more.
BIG_FILES = ("doc2vec", "classifier", "lexicon", "movie_embeddings.parquet")
LAST_VERSIONS = 2  # of a training: its newest one, and the one before the last refresh
FILES_DELETED = "files_deleted"  # tag of a run whose big files were deleted
DAY_SECONDS = 24 * 3600.0
GRACE_SECONDS = DAY_SECONDS / 4  # another run may be at work with what it used this recently


class RetentionConfig(StrictConfig):
    """How much of what runs leave behind is kept."""

    trainings: int = Field(
        5,
        ge=1,
        description="Newest trainings whose versions are kept beside the champion and the previous "
        "one; refreshes of a training do not count",
    )
    failed_days: float = Field(
        7, ge=0, description="Days that the models of a run which registered no version are kept"
    )
    cache_gb: float = Field(
        20, gt=0, description="Size in GB to which the cache is cut after a run, oldest use first"
    )
    log_days: float = Field(
        30, ge=0, description="Days after its last line that a file of artifacts/logs is kept"
    )


def sorted_for_retirement(
    registered: Sequence[ModelVersion], roles: Iterable[str], trainings: int
) -> tuple[list[ModelVersion], list[ModelVersion]]:
    """Versions that stay and those that go, newest first; `registered` is newest first too.

    What has a role stays; of the newest `trainings` their first version and their last
    `LAST_VERSIONS`; and what something else registered. A training is as old as its first version.
    """
    by_training: dict[str | None, list[ModelVersion]] = {}
    for one in registered:
        by_training.setdefault(training_run_id(one), []).append(one)
    foreign = by_training.pop(None, [])
    newest = sorted(by_training.values(), key=lambda group: -int(group[-1].version))[:trainings]
    kept = {str(one.version) for group in newest for one in (*group[:LAST_VERSIONS], group[-1])}
    kept |= {str(one.version) for one in foreign} | set(roles)
    stay = [one for one in registered if str(one.version) in kept]
    return stay, [one for one in registered if str(one.version) not in kept]


def retire_versions(client: mlflow.MlflowClient, trainings: int) -> list[str]:
    """Delete the models and index versions that nobody goes back to, and what dead runs left.

    Scores stay. The champion and the previous one never go, nor the run whose models they use. A
    clean-up that was cut off is repeated by the next one, since the version itself goes last.
    """
    with champion_lock():
        stay, go = sorted_for_retirement(
            versions(client), versions_by_alias(client).values(), trainings
        )
        for one in go:
            delete_model(client, str(one.source).removeprefix("models:/"))
        for run_id in {one.tags["run_id"] for one in go} - runs_in_use(stay):
            delete_big_files(client, run_id)
        going = {one.version for one in go}
        now = [one for one in versions(client) if one.version not in going]
        indexed = {one.tags.get("index_tag") for one in now}
        unused = version_tags(lancedb_uri()) - indexed
        drop_versions(lancedb_uri(), [tag for tag in sorted(unused) if has_ended(client, tag)])
        for one in go:
            client.delete_model_version(MODEL, one.version)
    return [str(one.version) for one in go]


def runs_in_use(registered: Iterable[ModelVersion]) -> set[str]:
    """Runs whose models some versions answer with, and those that registered them."""
    return {str(run_id) for one in registered for run_id in (training_run_id(one), one.run_id)}


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


def delete_big_files(client: mlflow.MlflowClient, run_id: str) -> None:
    """Delete the model files of a run, whose scores, plots and report stay.

    Nothing where the run was deleted from MLflow.
    """
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in GONE:
            raise
        return
    for name in BIG_FILES:
        delete_files(run.info.artifact_uri, name)
    client.set_tag(run_id, FILES_DELETED, "true")


def delete_files(location: str, path: str | None = None) -> None:
    """Delete a run's or model's files, or one of them, wherever MLflow keeps them."""
    get_artifact_repository(location).delete_artifacts(path)  # type: ignore[no-untyped-call]


def run_of_tag(tag: str) -> str:
    """Id of the run that wrote an index version."""
    return tag.removeprefix(RUN_PREFIX).split("-")[0]


def has_ended(client: mlflow.MlflowClient, tag: str) -> bool:
    """Whether the run that wrote an index version has ended: no other may lose its own."""
    try:
        status = client.get_run(run_of_tag(tag)).info.status
    except MlflowException as error:
        if error.error_code in GONE:
            return False
        raise
    return bool(RunStatus.is_terminated(RunStatus.from_string(status)))


def delete_failed_models(client: mlflow.MlflowClient, days: float) -> int:
    """Delete the model files of failed and killed runs that ended so long ago; how many runs."""
    in_use = runs_in_use(versions(client))
    before = int((time.time() - days * DAY_SECONDS) * 1000)
    experiments, old = [experiment_id(client)], f"attributes.end_time < {before}"
    runs = [
        run
        for status in ("FAILED", "KILLED")
        for run in client.search_runs(experiments, f"{old} AND attributes.status = '{status}'")
        if run.info.run_id not in in_use and FILES_DELETED not in run.data.tags
    ]
    for run in runs:
        source = f"source_run_id = '{run.info.run_id}'"
        for model in client.search_logged_models(experiments, source):
            delete_model(client, model.model_id)
        delete_big_files(client, run.info.run_id)
    return len(runs)


def delete_old_logs(folder: Path, days: float) -> int:
    """Delete log files without a line for so many days; how many."""
    before = time.time() - days * DAY_SECONDS
    old = [file for file in folder.glob("*.log*") if file.stat().st_mtime < before]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def _client() -> mlflow.MlflowClient:
    """A client that may delete: that of a copied root would delete the files of the original."""
    client = connect()
    require_experiment_of_this_root(client, experiment_id(client))
    return client


def _steps(config: RetentionConfig) -> dict[str, Callable[[], object]]:
    """What is cleaned up, by what the log says of it."""
    logs = store.artifacts_root() / "logs"
    return {
        "versions retired": lambda: ", ".join(retire_versions(_client(), config.trainings)),
        "failed runs without models now": lambda: delete_failed_models(
            _client(), config.failed_days
        ),
        "old log files deleted": lambda: delete_old_logs(logs, config.log_days),
        "bytes of cache freed": lambda: store.prune(
            int(config.cache_gb * 1e9), store.oldest_writer_start() - GRACE_SECONDS
        ),
    }


@task(name="clean-up", cache_policy=NO_CACHE)
def clean_up(config: RetentionConfig) -> None:
    """Keep disk use bounded after a run; what fails is logged and repeated after the next run.

    The run has published by then: a failure here must not make it look failed.
    """
    logger = get_run_logger()
    for outcome, step in _steps(config).items():
        try:
            result = step()
        except Exception as error:
            logger.error("Not cleaned up (%s): %s", outcome, error, exc_info=error)
        else:
            if result:
                logger.info("Clean-up, %s: %s", outcome, result)
