"""The registry's aliases: which version is `champion`, which one `previous`, and how they move.

Every move happens under one lock and is compared with what its caller saw, so that refresh,
training, promotion and rollback at once lose nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.core.locks import file_lock
from tasks.core.storage import store
from tasks.registry.model_registry import CHAMPION, MODEL

PREVIOUS = "previous"  # alias of the champion before this one, of another training
LOCK_SECONDS = 900.0  # a publication takes seconds, on a large catalogue minutes


@contextmanager
def champion_lock() -> Iterator[None]:
    """Keep every other process of this artifacts root from changing the champion.

    Raises:
        UserError: another process holds the lock for longer than `LOCK_SECONDS`.
    """
    path = store.artifacts_root() / "champion.lock"
    with file_lock(path, "change the champion", LOCK_SECONDS):
        yield


def versions_by_alias(client: mlflow.MlflowClient) -> dict[str, str]:
    """Version by alias: `champion`, and `previous` once there has been another."""
    try:
        stored = client.get_registered_model(MODEL).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {name: str(version) for name, version in stored.items()}


def training_run_id(version: ModelVersion | None) -> str | None:
    """Id of the run that trained a version's models: versions made by `refresh` share it.

    None for a version that this project did not register.
    """
    if version is None or "index_tag" not in version.tags:
        return None
    return str(version.tags.get("run_id", "")) or None


def next_previous(
    old: ModelVersion | None, new: ModelVersion, previous: ModelVersion | None
) -> str | None:
    """The version that `previous` names after `champion` moved from `old` to `new`.

    It names another training where there is one, so that a rollback after a refresh does not lead
    to the same models; None where nothing came before.
    """
    if old is None or old.version == new.version:
        return str(previous.version) if previous else None
    same_training = training_run_id(old) == training_run_id(new)
    if same_training and previous is not None and previous.version != new.version:
        return str(previous.version)
    return str(old.version)


def move_champion(client: mlflow.MlflowClient, version: str, passed_over: bool = False) -> None:
    """Give the alias `champion` to a version; call it under `champion_lock`.

    A champion that was `passed_over`, since it is damaged, is nothing to go back to.
    """
    named = versions_by_alias(client)
    old, new, previous = (
        client.get_model_version(MODEL, number) if number else None
        for number in (named.get(CHAMPION), version, named.get(PREVIOUS))
    )
    assert new is not None  # noqa: S101 - `version` is not empty
    before = next_previous(None if passed_over else old, new, previous)
    if before == version:
        client.delete_registered_model_alias(MODEL, PREVIOUS)
    elif before and before != named.get(PREVIOUS):
        client.set_registered_model_alias(MODEL, PREVIOUS, before)
    client.set_registered_model_alias(MODEL, CHAMPION, version)
