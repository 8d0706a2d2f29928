"""The registry's champion -> what readers need: its index, its weights, its model files.

MLflow takes seconds to import, so its own SQLite database is asked directly for the alias, which
stays the single switch; any other registry is asked through MLflow.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, Field

from tasks import store
from tasks.contracts import IndexRef, Ref, UserError
from tasks.rank import RankConfig

MODEL = "movie-recommender"
CHAMPION = "champion"
SQLITE = "sqlite:///"
TAGS = """
    SELECT key, value FROM model_version_tags JOIN registered_model_aliases USING (name, version)
    WHERE name = ? AND alias = ?
"""


class Champion(BaseModel, frozen=True):
    """What the champion's model version says of itself."""

    index: IndexRef
    rank: RankConfig
    run_id: str
    source: str = Field("", description="Digest of the source that it learnt from")
    fingerprint: str = Field("", description="Digest of all that decides what a run learns")
    digests: tuple[tuple[str, str], ...] = Field((), description="SHA-256 of each model folder")


#: File under the artifacts root with the address of the MLflow UI that is up, if not the usual.
UI_ADDRESS = "mlflow-ui"
USUAL_UI = "http://127.0.0.1:5000"


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, else the SQLite database under the artifacts root.

    Raises:
        UserError: the artifacts root is shared, and so the registry has to be.
    """
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        return _without_login(named)
    if store.shared():
        raise UserError(
            f"The artifacts are in {store.root_setting()}, which holds no database: name the "
            "MLflow server with MLFLOW_TRACKING_URI."
        )
    return f"{SQLITE}{store.artifacts_root() / 'mlflow.db'}"


def _without_login(uri: str) -> str:
    """A server's address without user name and password, which go to MLflow's own variables.

    MLflow quotes the address in its errors, and links to the server are made of it.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def champion() -> Champion:
    """The champion as the registry has it now.

    Raises:
        UserError: there is none yet, or none that can rank.
    """
    tags = _tags()
    if not tags:
        raise UserError("Nothing has been trained yet: run `make train` first.")
    if "rank" not in tags:
        raise UserError("The champion was trained by an earlier version: run `make train` again.")
    return from_tags(tags)


def rival() -> Champion | None:
    """The champion, where there is one that a challenger can be compared with."""
    tags = _tags()
    return from_tags(tags) if {"rank", "source"} <= tags.keys() else None


def to_tags(reader: Champion) -> dict[str, str]:
    """What a model version's tags say of it."""
    return {
        "index_uri": reader.index.uri,
        "index_tag": reader.index.tag,
        "rank": reader.rank.model_dump_json(),
        "digests": json.dumps(reader.digests),
        **reader.model_dump(include={"run_id", "source", "fingerprint"}),
    }


def from_tags(tags: Mapping[str, str]) -> Champion:
    """The inverse of `to_tags`."""
    index = IndexRef(uri=tags["index_uri"], tag=tags["index_tag"])
    rank = RankConfig.model_validate_json(tags["rank"], extra="ignore")
    rest = {name: tags.get(name, "") for name in ("run_id", "source", "fingerprint")}
    digests = json.loads(tags.get("digests", "[]"))
    return Champion(index=index, rank=rank, digests=digests, **rest)


def _tags() -> dict[str, str]:
    uri = tracking_uri()
    return _from_sqlite(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else _from_mlflow(uri)


def _from_sqlite(path: str) -> dict[str, str]:
    if not Path(path).is_file():
        return {}
    with closing(
        sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)
    ) as database:
        return dict(database.execute(TAGS, (MODEL, CHAMPION)).fetchall())


def _from_mlflow(uri: str) -> dict[str, str]:
    import mlflow

    try:
        found = mlflow.MlflowClient(uri).get_model_version_by_alias(MODEL, CHAMPION)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return {}
        raise
    return dict(found.tags)


class ModelFolders(BaseModel, frozen=True):
    """The files that turn a text into something that can be compared."""

    doc2vec: Path
    classifier: Path
    lexicon: Path

    @classmethod
    def of(cls, *folders: Path) -> "ModelFolders":
        """The folders in the order of the fields."""
        return cls.model_validate(dict(zip(cls.model_fields, folders, strict=True)))

    def digests(self) -> tuple[tuple[str, str], ...]:
        """SHA-256 of each folder, by its name."""
        return tuple((name, store.file_digest(path)) for name, path in self)


def model_folders(champion: Champion) -> ModelFolders:
    """The champion's model files, fetched where they are not local.

    Raises:
        UserError: a folder is gone, or its digest is not the registered one.
    """
    found = {name: fetched(champion.run_id, name) for name in ModelFolders.model_fields}
    for name, digest in champion.digests:
        if not found[name].exists() or store.file_digest(found[name]) != digest:
            raise UserError(
                f"The {name} of run {champion.run_id} is not what was registered: "
                "roll back, or promote another version."
            )
    return ModelFolders.model_validate(found)


def fetched(run_id: str, name: str) -> Path:
    """A file or folder that a run logged: where it lies, or a copy of a remote one in the cache."""
    import mlflow
    from mlflow.utils.file_utils import local_file_uri_to_path

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(tracking_uri())
    where = mlflow.MlflowClient().get_run(run_id).info.artifact_uri
    if where.startswith(("file:", "/")):
        path = local_file_uri_to_path(where)  # type: ignore[no-untyped-call]
        return Path(path) / name

    def download(slot: store.Slot) -> Ref:
        source = {"run_id": run_id, "artifact_path": name}
        mlflow.artifacts.download_artifacts(**source, dst_path=str(slot.folder))
        return slot.ref(Ref, name)

    return store.locate(store.entry("fetched", [where, name], Ref, download))
