"""A finished run -> a version of the registered model, promoted to champion if the gate allows."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow.models import Model
from mlflow.models.model import ModelInfo
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.core.contracts import RunRef
from tasks.recommend.model_folders import ModelFolders
from tasks.registry.aliases import move_champion
from tasks.registry.champion import Champion, to_tags
from tasks.registry.gate import (
    COMPARED_WITH,
    FINGERPRINT,
    OUTCOME,
    TOLERANCE,
    VERSION,
    PromotionDecision,
)
from tasks.registry.model_registry import MODEL
from tasks.registry.tracking import unloaded_pyfunc
from tasks.registry.tracking.metrics import log_metrics
from tasks.registry.tracking.mlflow_client import connect
from tasks.registry.tracking.model_signature import INPUT_EXAMPLE, SIGNATURE
from tasks.registry.tracking.runs import PACKAGES

SERVED_MODEL = Path(__file__).parents[1] / "served_model.py"  # imports `tasks` alone, no `flows`


@task(name="register", cache_policy=NO_CACHE)
def register(
    run: RunRef, folders: ModelFolders, reader: Champion, promotion: PromotionDecision
) -> str:
    """Register the model with the tag of its index, finish the run and return the new version.

    With `promotion.promote`, the alias `champion` moves to the new version. Call it under the
    `champion_lock` under which the current champion was last checked.
    """
    client = connect()
    with mlflow.start_run(run_id=run.run_id):
        model = _log_model(folders, reader)
        log_metrics(client, run, {"index_recall_at_10": reader.index.recall})
        tags = to_tags(reader) | {"why": promotion.why, OUTCOME: promotion.outcome}
        tags |= {COMPARED_WITH: promotion.compared_with} if promotion.compared_with else {}
        registered = mlflow.register_model(model.model_uri, MODEL, tags=tags)
        if promotion.promote:
            move_champion(client, str(registered.version), promotion.champion_is_damaged)
        _tag_run(client, run, version=str(registered.version), reader=reader, promotion=promotion)
    return str(registered.version)


def _tag_run(
    client: mlflow.MlflowClient,
    run: RunRef,
    version: str,
    reader: Champion,
    promotion: PromotionDecision,
) -> None:
    """Tag the run with what the gate decided; the tag of a comparison comes last."""
    tags = {
        "promoted": str(promotion.promote).lower(),
        "promoted.why": promotion.why,
        OUTCOME: promotion.outcome,
        TOLERANCE: str(promotion.tolerance),
        FINGERPRINT: reader.fingerprint,
        VERSION: version,
    }
    if promotion.compared_with:
        tags[COMPARED_WITH] = promotion.compared_with
    for name, value in tags.items():
        client.set_tag(run.run_id, name, value)


def _log_model(folders: ModelFolders, reader: Champion) -> ModelInfo:
    """Log the model with its files, signature and input example to the active run."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reader.json"
        file.write_text(reader.model_dump_json())
        model: ModelInfo = Model.log(
            artifact_path=None,
            name="recommender",
            flavor=unloaded_pyfunc,
            flavor_name="pyfunc.ModelFromCode",
            python_model=str(SERVED_MODEL),
            artifacts={
                "reader": str(file),
                **{name: str(path) for name, path in folders.model_dump().items()},
            },
            code_paths=[str(SERVED_MODEL.parents[1])],
            pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
            signature=SIGNATURE,
            input_example=INPUT_EXAMPLE,
            validate_serving_input=False,
        )
    return model
