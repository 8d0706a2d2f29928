"""A finished run -> a version of the registered model, promoted to champion if the gate allows."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow.models import Model
from mlflow.models.model import ModelInfo

from tasks.core.contracts import RefreshRef, RunRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage.code_version import DISTRIBUTIONS, imported_files, library_versions
from tasks.recommend.model_folders import ModelFolders
from tasks.registry.aliases import PREVIOUS, move_champion, versions_by_alias
from tasks.registry.champion import Champion, to_tags
from tasks.registry.gate import (
    CHAMPION_BEFORE,
    COMPARED_WITH,
    FINGERPRINT,
    OUTCOME,
    TOLERANCE,
    VERSION,
    PromotionDecision,
)
from tasks.registry.model_registry import CHAMPION, MODEL, pack_tags
from tasks.registry.tracking import unloaded_pyfunc
from tasks.registry.tracking.metrics import log_metrics
from tasks.registry.tracking.mlflow_client import connect
from tasks.registry.tracking.model_signature import INPUT_EXAMPLE, SIGNATURE

SERVED_MODEL = Path(__file__).parents[1] / "served_model.py"  # imports `tasks` alone, no `flows`
SERVED_MODULE = "tasks.registry.served_model"
INDIRECT = {"fastapi"}  # its newest release breaks Prefect, which tasks import
DESCRIPTION = f"""Predicts genres of a movie, and lists similar movies of its catalogue.

- Each training and each refresh registers a version. Its description has data, scores with \
intervals, the decision of the promotion gate with its reason, and a link to the run.
- `@{CHAMPION}` answers all questions; `@{PREVIOUS}` is the one to roll back to.
- `movie-recommender release list` shows the versions; `promote`, `rollback` and `approve` move \
the aliases. An alias that is moved by hand in MLflow counts, too, but skips all checks.
"""
REFRESHED = "A refresh of version "  # its description starts with it
OPTIONAL = {"distributed"}  # of a runner of trainings


@stage_task("register")
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
        record = to_tags(reader) | {CHAMPION_BEFORE: versions_by_alias(client).get(CHAMPION, "")}
        record |= {COMPARED_WITH: promotion.compared_with} if promotion.compared_with else {}
        tags = {OUTCOME: promotion.outcome, "why": promotion.why} | pack_tags(record)
        registered = mlflow.register_model(model.model_uri, MODEL, tags=tags)
        describe_model(client)
        if promotion.promote:
            move_champion(client, str(registered.version), promotion.champion_is_damaged)
        _tag_run(client, run, version=str(registered.version), reader=reader, promotion=promotion)
    return str(registered.version)


def describe_model(client: mlflow.MlflowClient) -> None:
    """Describe the registered model above its versions, unless a person has done so."""
    if not client.get_registered_model(MODEL).description:
        client.update_registered_model(MODEL, DESCRIPTION)


def describe_refreshed(version: str, before: str, refreshed: RefreshRef) -> None:
    """Describe a version by what was added to the one before, and by the model card of that."""
    client = connect()
    counts = f"{refreshed.added:,} movies added, {refreshed.updated:,} changed"
    description = client.get_model_version(MODEL, before).description or ""
    if description.startswith(REFRESHED):  # a refresh itself
        _, _, description = description.partition("\n\n")
    card = f" Its models have this card:\n\n{description}" if description else ""
    client.update_model_version(MODEL, version, f"{REFRESHED}{before}: {counts}.{card}")


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


def served_requirements() -> list[str]:
    """Requirements of an environment in which the registered model answers: what it imports.

    Each is the version installed here, without a label of its build such as torch's `+cpu`, which
    package indexes do not have.
    """
    imported = library_versions(imported_files(SERVED_MODULE))
    names = {DISTRIBUTIONS.get(name, name) for name, installed in imported.items() if installed}
    required = sorted({*names, *INDIRECT} - OPTIONAL)
    return [f"{name}=={version(name).partition('+')[0]}" for name in required]


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
            pip_requirements=served_requirements(),
            signature=SIGNATURE,
            input_example=INPUT_EXAMPLE,
            validate_serving_input=False,
        )
    return model
