"""A model version -> the aliases `champion` and `previous`, moved under a lock.

Training, refresh, promotion and rollback may run at the same time. Each of them takes the lock,
checks that the champion is still the one it read, and only then moves an alias.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL

from tasks.core.locks import file_lock
from tasks.core.storage import store
from tasks.registry.model_registry import CHAMPION, MODEL, unpack_tags

MOVED = "movie-recommender.champion.moved"  # Prefect event
CHAMPION_RESOURCE = {"prefect.resource.id": MODEL, "prefect.resource.name": CHAMPION}
PREVIOUS = "previous"  # alias of the earlier champion, of another training where possible
LOCK_SECONDS = 900.0  # publishing takes seconds, for a large catalogue minutes


@contextmanager
def champion_lock() -> Iterator[None]:
    """Prevent other processes with this artifacts root from changing the champion.

    Raises:
        UserError: another process has the lock for longer than `LOCK_SECONDS`.
    """
    path = store.artifacts_root() / "champion.lock"
    with file_lock(path, "change the champion", LOCK_SECONDS):
        yield


def versions_by_alias(client: mlflow.MlflowClient) -> dict[str, str]:
    """Version number by alias: `champion`, and `previous` after a second champion."""
    try:
        aliases = client.get_registered_model(MODEL).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {name: str(version) for name, version in aliases.items()}


def training_run_id(version: ModelVersion | None) -> str | None:
    """Id of the run that trained a version's models; versions of `refresh` share it.

    None if the version was not registered by this project.
    """
    tags = unpack_tags(version.tags) if version else {}
    return tags.get("run_id") or None if "index_tag" in tags else None


def next_previous(
    old: ModelVersion | None, new: ModelVersion, previous: ModelVersion | None
) -> str | None:
    """Version number for the alias `previous` after `champion` moved from `old` to `new`.

    It is a version of another training where one exists, so that a rollback after a refresh
    changes the models. None if there was no champion before.
    """
    if old is None or old.version == new.version:
        return str(previous.version) if previous else None
    same_training = training_run_id(old) == training_run_id(new)
    if same_training and previous is not None and previous.version != new.version:
        return str(previous.version)
    return str(old.version)


def move_champion(
    client: mlflow.MlflowClient, version: str, champion_is_damaged: bool = False
) -> None:
    """Give the alias `champion` to a version and update `previous`; call it under `champion_lock`.

    The Prefect event `MOVED` follows, if it was another version's.
    `champion_is_damaged`: the current champion is damaged and must not become `previous`.
    """
    by_alias = versions_by_alias(client)
    old, previous = (
        client.get_model_version(MODEL, by_alias[alias]) if alias in by_alias else None
        for alias in (CHAMPION, PREVIOUS)
    )
    new = client.get_model_version(MODEL, version)
    before = next_previous(None if champion_is_damaged else old, new, previous)
    if before == version:
        client.delete_registered_model_alias(MODEL, PREVIOUS)
    elif before and before != by_alias.get(PREVIOUS):
        client.set_registered_model_alias(MODEL, PREVIOUS, before)
    client.set_registered_model_alias(MODEL, CHAMPION, version)
    if old is None or str(old.version) != version:
        _announce(version, str(old.version) if old else "")


def _announce(version: str, before: str) -> None:
    """Emit a Prefect event, which can start deployments; nothing where no server is known.

    Prefect would start a server of its own for the event.
    """
    if PREFECT_API_URL.value():
        emit_event(MOVED, CHAMPION_RESOURCE, payload={"version": version, "before": before})
