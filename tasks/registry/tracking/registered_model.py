"""A finished run -> a version of the registered model, promoted to champion if the gate says so."""

import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import mlflow
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.core.contracts import RunRef
from tasks.recommend.model_folders import ModelFolders
from tasks.registry.aliases import move_champion
from tasks.registry.champion import Champion, to_tags
from tasks.registry.model_registry import MODEL
from tasks.registry.tracking.metrics import log_metrics
from tasks.registry.tracking.mlflow_client import connect
from tasks.registry.tracking.model_signature import SIGNATURE
from tasks.registry.tracking.runs import PACKAGES


class Promotion(NamedTuple):
    """Whether a new version becomes the champion, and why.

    `passed_over` says that the champion before it is damaged, and nothing to go back to.
    """

    promote: bool
    why: str
    passed_over: bool = False


@task(name="register", cache_policy=NO_CACHE)
def register(
    run: RunRef, folders: ModelFolders, reader: Champion, model_code: str, promotion: Promotion
) -> str:
    """Register the model with the tag of its index and finish the run; the new version.

    With `promote`, the alias `champion` moves to it, which is what readers follow: call this under
    `champion_lock`, held since the champion was compared with.
    """
    client = connect()
    with (
        mlflow.start_run(run_id=run.run_id),
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "reader.json"
        file.write_text(reader.model_dump_json())
        warnings.filterwarnings("ignore", ".*input example was not provided")  # a signature is
        logged = mlflow.pyfunc.log_model(
            name="recommender",
            python_model=model_code,
            artifacts={
                "reader": str(file),
                **{name: str(path) for name, path in folders.model_dump().items()},
            },
            code_paths=[str(Path(model_code).parent), str(Path(__file__).parents[2])],
            pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
            signature=SIGNATURE,
        )
        log_metrics(client, run, {"index_recall_at_10": reader.index.recall})
        tags = to_tags(reader) | {"why": promotion.why}
        registered = mlflow.register_model(logged.model_uri, MODEL, tags=tags)
        if promotion.promote:
            move_champion(client, str(registered.version), promotion.passed_over)
        client.set_tag(run.run_id, "promoted", str(promotion.promote).lower())
        client.set_tag(run.run_id, "promoted.why", promotion.why)
    return str(registered.version)
