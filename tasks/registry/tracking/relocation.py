"""A root that was moved or copied -> MLflow's database and models with its present paths.

MLflow stores where files are as absolute addresses.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow

from tasks.core.contracts import UserError
from tasks.core.files import atomic_write
from tasks.core.logs import logger
from tasks.core.storage import store
from tasks.core.storage.run_locks import runs_of_other_processes
from tasks.registry.model_registry import (
    EXPERIMENT,
    SQLITE_SECONDS,
    is_root_database,
    sqlite_file,
)

#: Column with the address of files, by MLflow's table.
ADDRESSES = {
    "experiments": "artifact_location",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
    "runs": "artifact_uri",
}
READER = "reader.json"  # file of a registered model


def update_moved_paths(client: mlflow.MlflowClient) -> None:
    """Let MLflow's database name the present place of the artifacts root, if it names another.

    Without it, the runs of a root that was moved would write to the earlier place, and a clean-up
    of a copy would delete files of the original.

    Raises:
        UserError: a run is still running that writes to the earlier place.
    """
    experiment, file = client.get_experiment_by_name(EXPERIMENT), sqlite_file()
    if experiment is None or file is None or not is_root_database():
        return
    location = str(experiment.artifact_location)
    if not location.startswith("file:"):
        return
    old_root, root = Path(unquote(urlsplit(location).path)).parent, store.artifacts_root()
    if old_root == root or (old_root.exists() and old_root.samefile(root)):
        return
    _require_no_run(old_root)
    replace_index_paths(root / "mlruns" / "models", old_root, root)
    replace_addresses(file, old_root.as_uri(), root.as_uri())
    logger.warning("%s was %s: MLflow's database has the new paths now.", root, old_root)


def _require_no_run(old_root: Path) -> None:
    if runs := runs_of_other_processes():
        raise UserError(
            f"{store.artifacts_root()} was {old_root}, and the flow run {runs[0]} still writes "
            "there: wait for its end or stop it, then run this command again."
        )


def replace_addresses(database: Path, old_root: str, new_root: str) -> None:
    """Replace the folder `old_root` by `new_root`, both `file:` addresses, in MLflow's tables."""
    inside = f"{old_root}/"
    with closing(sqlite3.connect(database, timeout=SQLITE_SECONDS)) as connection, connection:
        for table, column in ADDRESSES.items():
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - constants
                f"WHERE substr({column}, 1, ?) = ?",
                (f"{new_root}/", len(inside) + 1, len(inside), inside),
            )


def replace_index_paths(models: Path, old_root: Path, new_root: Path) -> None:
    """Replace the root in the index paths of registered models, which they are served with."""
    for file in models.glob(f"*/artifacts/artifacts/{READER}"):
        reader = store.read_json(file)
        index = Path(reader.get("index", {}).get("uri", ""))  # early releases have no index there
        if index.is_relative_to(old_root):
            reader["index"]["uri"] = str(new_root / index.relative_to(old_root))
            with atomic_write(file) as new:
                store.write_json(new, reader)
