import json
import warnings
from pathlib import Path

import mlflow
import pytest

from tasks.core.contracts import IndexRef, RunRef
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion, load_champion
from tasks.registry.gate import PromotionDecision
from tasks.registry.model_registry import CHAMPION, MODEL, tracking_uri
from tasks.registry.tracking import registered_model
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.model_signature import INPUT_EXAMPLE, SIGNATURE
from tasks.registry.tracking.registered_model import register

UNUSABLE_MODEL = """
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

class Unusable(PythonModel):
    def load_context(self, context):
        raise AssertionError("The model was loaded")

    def predict(self, context, model_input: pd.DataFrame, params=None):
        raise AssertionError("The model was called")

set_model(Unusable())
"""


def test_the_model_requires_what_it_imports_in_versions_that_indexes_have(monkeypatch):
    """Dask is for trainings, and torch is not imported to answer."""
    versions = {"nltk": "3.9.2", "scikit-learn": "1.9.0+local"}
    monkeypatch.setattr(registered_model, "version", lambda name: versions.get(name, "1.0"))
    required = dict(line.split("==") for line in registered_model.served_requirements())
    assert (required["nltk"], required["scikit-learn"]) == ("3.9.2", "1.9.0")
    assert {"mlflow", "lancedb", "prefect", "fastapi", "sqlalchemy", "scipy"} <= required.keys()
    assert not {"torch", "distributed", "sklearn", "tasks"} & required.keys()


def fail(constant: str) -> None:
    raise AssertionError(f"{constant} is not valid JSON")


def register_model(folder: Path, promote: bool = True) -> str:
    """Register a model of empty folders; its code fails as soon as it is loaded."""
    code = folder / "code" / "registry" / "model.py"
    code.parent.mkdir(parents=True)
    code.write_text(UNUSABLE_MODEL)
    paths = {name: folder / name for name in ModelFolders.model_fields}
    for path in paths.values():
        path.mkdir()
    client = connect()
    experiment = experiment_id(client)
    run_id = client.create_run(experiment).info.run_id
    index = IndexRef(uri="lancedb", tag="run-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registered_model, "SERVED_MODEL", code)
        version: str = register.fn(
            run=RunRef(run_id=run_id, experiment_id=experiment, tracking_uri=tracking_uri()),
            folders=ModelFolders.model_validate(paths),
            reader=Champion(index=index, rank=RankConfig(), run_id=run_id),
            promotion=PromotionDecision(
                outcome="promoted" if promote else "rejected", why="no earlier champion"
            ),
        )
    return version


@pytest.fixture
def champion_info(artifacts, tmp_path) -> mlflow.models.model.ModelInfo:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*input example")
        register_model(tmp_path)
    return mlflow.models.get_model_info(f"models:/{MODEL}@{CHAMPION}")


def test_a_version_has_an_input_example_and_was_logged_without_loading_it(champion_info):
    assert champion_info.signature == SIGNATURE
    assert champion_info.saved_input_example_info["artifact_path"] == "input_example.json"
    folder = Path(mlflow.artifacts.download_artifacts(champion_info.model_uri))
    example = mlflow.models.Model.load(folder).load_input_example(str(folder))
    assert example.equals(INPUT_EXAMPLE)
    request = json.loads((folder / "serving_input_example.json").read_text(), parse_constant=fail)
    assert request["dataframe_split"]["columns"] == ["title", "text"]


def test_a_promoted_version_is_the_champion_and_its_run_says_why(artifacts, tmp_path):
    version = register_model(tmp_path)
    champion = load_champion()
    assert champion.version == version
    run = connect().get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["promoted"] == "true"
    assert run.data.tags["promoted.why"] == "no earlier champion"


def test_a_version_that_is_not_promoted_is_registered_without_the_alias(artifacts, tmp_path):
    version = register_model(tmp_path, promote=False)
    assert connect().get_registered_model(MODEL).aliases == {}
    assert connect().get_model_version(MODEL, version).tags["why"] == "no earlier champion"
