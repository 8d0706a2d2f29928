"""The champion's tags in the registry -> its index, ranking weights and model folders."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, Field

from tasks.core.contracts import DamagedVersionError, IndexRef, Ref, UserError
from tasks.core.storage import store
from tasks.core.storage.remote import is_url
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry.model_registry import (
    TaggedVersion,
    champion_version,
    is_root_database,
    registry_errors,
    require_reachable,
    tracking_uri,
)

#: File under the artifacts root with the address of the running MLflow UI, if not the usual one.
UI_ADDRESS = "mlflow-ui"
USUAL_UI = "http://127.0.0.1:5000"
#: Format of index rows and model folders, a tag of each version; this release reads no other.
FORMAT = "2"
ROOT = "root"  # tag of a version: the artifacts root from which it was published
NO_CHAMPION = "Nothing has been trained yet: run `make train` first."


class Champion(BaseModel, frozen=True):
    """What the tags of a model version record: where its index and models are, and their origin.

    `version` is its number in the registry, `registered` when it got it; both are empty in the
    files of the version itself.
    """

    index: IndexRef
    rank: RankConfig
    run_id: str
    source: str = Field("", description="Digest of the training source")
    fingerprint: str = Field("", description="Digest of everything that affects training results")
    digests: tuple[tuple[str, str], ...] = Field((), description="SHA-256 of each model folder")
    index_config: str = Field("{}", description="Settings of the index, as JSON")
    best: dict[str, str] = Field(
        {}, description="Best version kept by deciding metric of the gate, where it is another one"
    )
    version: str = ""
    registered: datetime | None = None


def load_champion() -> Champion:
    """The current champion.

    Raises:
        UserError: there is no champion yet, or an early release registered it.
        RegistryError: the registry is damaged or cannot be reached.
    """
    current = champion_version()
    if current is None:
        raise UserError(NO_CHAMPION)
    if not is_readable(current.tags):
        raise UserError("The champion was trained by an earlier release: run `make train` again.")
    champion = from_tags(current.tags, current.version).model_copy(
        update={"registered": current.registered}
    )
    if is_of_another_root(current.tags) and not has_index(champion.index):
        raise another_root_error(current)
    return champion


def is_of_another_root(tags: Mapping[str, str]) -> bool:
    """Whether a version with these tags was published from another artifacts root.

    Only a registry that several roots share has such versions.
    """
    root = tags.get(ROOT, "")
    return bool(root) and not is_root_database() and root != store.root_id()


def has_index(index: IndexRef) -> bool:
    """Whether the table of an index is on this machine, or on an object store."""
    return is_url(index.uri) or Path(index.uri, f"{index.tag}.lance").is_dir()


def another_root_error(version: TaggedVersion) -> UserError:
    """The error for a version whose files are in an artifacts root that is not this one."""
    return UserError(
        f"Version {version.version} in MLflow was published from another artifacts root, with its "
        f"index in {version.tags['index_uri']}. An MLflow server is for one root: set "
        "RECOMMENDER_ARTIFACTS to it, or MLFLOW_TRACKING_URI to a server for this root. If that "
        "root is gone, delete the alias `champion` in MLflow and train."
    )


def require_champion_of_this_root() -> None:
    """Check before publishing that the versions in the registry are those of this artifacts root.

    Another root's champion could not be compared, and its index would look damaged.

    Raises:
        UserError: the champion was published from another root.
        RegistryError: the registry is damaged or cannot be reached.
    """
    current = champion_version()
    if current and is_of_another_root(current.tags):
        raise another_root_error(current)


def is_readable(tags: Mapping[str, str]) -> bool:
    """Whether a version with these tags has the format of this release."""
    return tags.get("format") == FORMAT


def to_tags(reader: Champion) -> dict[str, str]:
    """The tags of a model version."""
    return {
        "format": FORMAT,
        "index_uri": stored_index_uri(reader.index.uri),
        "index_tag": reader.index.tag,
        ROOT: store.root_id(),
        "rank": reader.rank.model_dump_json(),
        "digests": json.dumps(reader.digests),
        "index_config": reader.index_config,
        "best": json.dumps(reader.best),
        **reader.model_dump(include={"run_id", "source", "fingerprint"}),
    }


def from_tags(tags: Mapping[str, str], version: str = "") -> Champion:
    """The inverse of `to_tags`; early releases set fewer tags."""
    return Champion(
        index=IndexRef(uri=index_uri(tags["index_uri"]), tag=tags["index_tag"]),
        rank=RankConfig.model_validate_json(tags["rank"], extra="ignore"),
        run_id=tags.get("run_id", ""),
        source=tags.get("source", ""),
        fingerprint=tags.get("fingerprint", ""),
        digests=json.loads(tags.get("digests", "[]")),
        index_config=tags.get("index_config", "{}"),
        best=json.loads(tags.get("best", "{}")),
        version=version,
    )


def stored_index_uri(uri: str) -> str:
    """The index URI as stored in the registry.

    It is relative to the artifacts root if registry and index are both under it, so that they can
    be moved together. A shared registry stores it unchanged, since readers may have another root.
    """
    root = store.artifacts_root()
    inside = not is_url(uri) and Path(uri).is_relative_to(root)
    return str(Path(uri).relative_to(root)) if inside and is_root_database() else uri


def index_uri(stored: str) -> str:
    """The current URI of an index; stored relative paths start at the artifacts root.

    Early releases stored absolute paths. If such a folder is missing, the root was moved, and the
    folder of the same name under the current root is used.
    """
    if is_url(stored):
        return stored
    root, path = store.artifacts_root(), Path(stored)
    if not path.is_absolute():
        return str(root / path)
    return stored if path.is_dir() else str(root / path.name)


def model_folders(champion: Champion) -> ModelFolders:
    """The champion's model folders; remote ones are downloaded into the cache.

    Raises:
        DamagedVersionError: a folder is missing, or its digest differs from the registered one.
        RegistryError: the registry is damaged or cannot be reached.
    """
    paths = {name: fetch_artifact(champion.run_id, name) for name in ModelFolders.model_fields}
    folders = ModelFolders.model_validate(paths)
    require_registered(champion, folders)
    return folders


def require_registered(champion: Champion, folders: ModelFolders) -> None:
    """Compare model folders with the digests that were registered with a version.

    Raises:
        DamagedVersionError: a folder is missing, or its digest differs from the registered one.
    """
    registered = dict(champion.digests)
    for name, folder in folders:
        if not folder.exists():
            raise damaged_version_error(champion, f"its {name} is missing ({folder})")
        if name in registered and store.file_digest(folder) != registered[name]:
            raise damaged_version_error(
                champion, f"its {name} has changed since it was registered ({folder})"
            )


def damaged_version_error(champion: Champion, damage: str) -> DamagedVersionError:
    """The error for a version whose models or index cannot be used."""
    name = f"Version {champion.version}" if champion.version else f"Run {champion.run_id}"
    return DamagedVersionError(f"{name} is damaged: {damage}")


def fetch_artifact(run_id: str, name: str) -> Path:
    """Path of a file or folder that a run logged; a remote one is downloaded into the cache once.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
        DamagedVersionError: the registry has no such run, or the run no such file.
    """
    import mlflow

    uri = tracking_uri()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(uri)
    require_reachable(uri)
    with registry_errors(uri):
        run_uri = _artifact_uri(uri, run_id)
        if run_uri.startswith(("file:", "/")):
            return _local_artifact(run_uri, run_id, name)

        def download(writer: store.EntryWriter) -> Ref:
            return _download(run_uri, run_id, name, writer)

        return store.locate(store.get_or_create("fetched", [run_uri, name], Ref, download))


@lru_cache(maxsize=64)
def _artifact_uri(registry: str, run_id: str) -> str:
    """Where a run's files are; it is asked once, since MLflow reads all metrics of the run too."""
    import mlflow

    try:
        return str(mlflow.MlflowClient(registry).get_run(run_id).info.artifact_uri)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise DamagedVersionError(f"MLflow has no run {run_id}") from error


def _local_artifact(run_uri: str, run_id: str, name: str) -> Path:
    """Path of a logged file, wherever the artifacts root of its database was moved or copied to."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    path = Path(local_file_uri_to_path(run_uri)) / name  # type: ignore[no-untyped-call]
    here = store.artifacts_root() / "mlruns" / run_id / "artifacts" / name
    return here if is_root_database() or (here.exists() and not path.exists()) else path


def _download(run_uri: str, run_id: str, name: str, writer: store.EntryWriter) -> Ref:
    """Download a file or folder of a run into a cache entry.

    MLflow's `download_artifacts` reports every error as a wrong path. The name is therefore looked
    up first, so that a missing file is distinguished from a failed download.
    """
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    parent = str(PurePosixPath(name).parent)
    siblings = mlflow.MlflowClient().list_artifacts(run_id, None if parent == "." else parent)
    if name not in {file.path for file in siblings}:
        raise DamagedVersionError(f"MLflow's run {run_id} no longer has {name}")
    repository = get_artifact_repository(run_uri)
    path = repository.download_artifacts(name, str(writer.folder))  # type: ignore[no-untyped-call]
    return writer.file_ref(Ref, str(Path(path).resolve().relative_to(writer.folder.resolve())))
