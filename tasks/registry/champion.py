"""The registry's champion -> what readers need: its index, its weights, its model files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, Field

from tasks.core.contracts import DamagedVersionError, IndexRef, Ref, UserError
from tasks.core.storage import store
from tasks.core.storage.remote import is_url
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry.model_registry import (
    champion_version,
    is_own_registry,
    registry_errors,
    require_reachable,
    tracking_uri,
)

#: File under the artifacts root with the address of the MLflow UI that is up, if not the usual.
UI_ADDRESS = "mlflow-ui"
USUAL_UI = "http://127.0.0.1:5000"
NO_CHAMPION = "Nothing has been trained yet: run `make train` first."


class Champion(BaseModel, frozen=True):
    """What the champion's model version says of itself.

    `version` is its number in the registry; empty in a version's own files.
    """

    index: IndexRef
    rank: RankConfig
    run_id: str
    source: str = Field("", description="Digest of the source that it learnt from")
    fingerprint: str = Field("", description="Digest of all that decides what a run learns")
    digests: tuple[tuple[str, str], ...] = Field((), description="SHA-256 of each model folder")
    index_config: str = Field("{}", description="JSON of the settings that the index was built by")
    version: str = ""


def load_champion() -> Champion:
    """The champion as the registry has it now.

    Raises:
        UserError: there is none yet, or none that can rank.
        RegistryError: the registry is damaged or cannot be reached.
    """
    current = champion_version()
    if current is None:
        raise UserError(NO_CHAMPION)
    if "rank" not in current.tags:
        raise UserError("The champion was trained by an earlier version: run `make train` again.")
    return from_tags(current.tags, current.version)


def to_tags(reader: Champion) -> dict[str, str]:
    """What a model version's tags say of it."""
    return {
        "index_uri": stored_index_uri(reader.index.uri),
        "index_tag": reader.index.tag,
        "rank": reader.rank.model_dump_json(),
        "digests": json.dumps(reader.digests),
        "index_config": reader.index_config,
        **reader.model_dump(include={"run_id", "source", "fingerprint"}),
    }


def from_tags(tags: Mapping[str, str], version: str = "") -> Champion:
    """The inverse of `to_tags`."""
    index = IndexRef(uri=index_uri(tags["index_uri"]), tag=tags["index_tag"])
    rank = RankConfig.model_validate_json(tags["rank"], extra="ignore")
    rest = {name: tags.get(name, "") for name in ("run_id", "source", "fingerprint")}
    return Champion(
        index=index,
        rank=rank,
        digests=json.loads(tags.get("digests", "[]")),
        index_config=tags.get("index_config", "{}"),
        version=version,
        **rest,
    )


def stored_index_uri(uri: str) -> str:
    """How a registry stores where an index lies: relative to the artifacts root if it lies under
    the same root, so that both move together; else as it is, since others read it from elsewhere.
    """
    root = store.artifacts_root()
    inside = not is_url(uri) and Path(uri).is_relative_to(root)
    return str(Path(uri).relative_to(root)) if inside and is_own_registry() else uri


def index_uri(stored: str) -> str:
    """Where an index lies now: relative paths start at the artifacts root.

    Earlier versions stored absolute paths; where such a folder is gone, the root was moved.
    """
    if is_url(stored):
        return stored
    root, path = store.artifacts_root(), Path(stored)
    if not path.is_absolute():
        return str(root / path)
    return stored if path.is_dir() else str(root / path.name)


def model_folders(champion: Champion) -> ModelFolders:
    """The champion's model files, fetched where they are not local.

    Raises:
        DamagedVersionError: a folder is gone, or its digest is not the registered one.
    """
    paths = {name: fetch_artifact(champion.run_id, name) for name in ModelFolders.model_fields}
    folders = ModelFolders.model_validate(paths)
    require_registered(champion, folders)
    return folders


def require_registered(champion: Champion, folders: ModelFolders) -> None:
    """Check model folders against the digests that were registered with a version.

    Raises:
        DamagedVersionError: a folder is gone, or its digest is not the registered one.
    """
    registered = dict(champion.digests)
    for name, folder in folders:
        if not folder.exists():
            raise damaged_version(champion, f"its {name} is gone ({folder})")
        if name in registered and store.file_digest(folder) != registered[name]:
            raise damaged_version(champion, f"its {name} is not what was registered ({folder})")


def damaged_version(champion: Champion, damage: str) -> DamagedVersionError:
    """The error of a version that cannot answer."""
    named = f"Version {champion.version}" if champion.version else f"Run {champion.run_id}"
    return DamagedVersionError(f"{named} cannot answer: {damage}")


def fetch_artifact(run_id: str, name: str) -> Path:
    """A file or folder that a run logged: where it lies, or a copy of a remote one in the cache.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
        DamagedVersionError: the registry does not know the run, or not its file.
    """
    uri = tracking_uri()
    require_reachable(uri)
    with registry_errors(uri):
        where = _artifact_uri(run_id)
        if where.startswith(("file:", "/")):
            return _local_artifact(where, run_id, name)
        return store.locate(
            store.get_or_create(
                "fetched", [where, name], Ref, lambda writer: _download(run_id, where, name, writer)
            )
        )


def _artifact_uri(run_id: str) -> str:
    import mlflow

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(tracking_uri())
    try:
        return str(mlflow.MlflowClient().get_run(run_id).info.artifact_uri)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise DamagedVersionError(f"MLflow has no run {run_id}") from error


def _local_artifact(where: str, run_id: str, name: str) -> Path:
    """The file under the run's own address; where the root was moved, under today's root."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    path = Path(local_file_uri_to_path(where)) / name  # type: ignore[no-untyped-call]
    moved = store.artifacts_root() / "mlruns" / run_id / "artifacts" / name
    return moved if not path.exists() and moved.exists() else path


def _download(run_id: str, where: str, name: str, writer: store.EntryWriter) -> Ref:
    """Copy what a run logged into a writer.

    MLflow's `download_artifacts` says of every error that the path is not correct. So the file is
    looked for first, and then fetched by what lies below.
    """
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    parent = str(PurePosixPath(name).parent)
    listed = mlflow.MlflowClient().list_artifacts(run_id, None if parent == "." else parent)
    if name not in {file.path for file in listed}:
        raise DamagedVersionError(f"MLflow's run {run_id} has no {name} any more")
    repository = get_artifact_repository(where)
    path = repository.download_artifacts(name, str(writer.folder))  # type: ignore[no-untyped-call]
    return writer.file_ref(Ref, str(Path(path).resolve().relative_to(writer.folder.resolve())))
