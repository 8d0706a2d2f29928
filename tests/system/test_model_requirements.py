"""A registered model answers in an environment that is built of its own requirements alone."""

import json
import os
import subprocess
import sys
import venv

import mlflow
import pytest

from tasks.registry.model_registry import CHAMPION, MODEL
from tasks.registry.tracking.mlflow_client import connect

ASK = """
import json, sys
import mlflow, pandas
rows = pandas.DataFrame([{"title": "Western Story 1"}, {"text": "a ghost haunts an old ranch"}])
answers = mlflow.pyfunc.load_model(sys.argv[1]).predict(rows, params={"limit": 3})
print(json.dumps([[len(movies), error] for movies, error in answers[["movies", "error"]].values]))
"""


@pytest.mark.endurance
@pytest.mark.usefixtures("prefect_server", "trained_root")
def test_a_model_answers_from_an_environment_of_its_own_requirements(tmp_path):
    """It needs a package index, and no torch; the code comes with the model."""
    version = connect().get_model_version_by_alias(MODEL, CHAMPION)
    folder = mlflow.artifacts.download_artifacts(
        f"models:/{MODEL}/{version.version}", dst_path=str(tmp_path / "model")
    )
    python = tmp_path / "venv" / "bin" / "python"
    venv.create(tmp_path / "venv", with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--requirement"]
    subprocess.run([*install, f"{folder}/requirements.txt"], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ask = [python, "-c", ASK, folder]
    answer = subprocess.run(
        ask, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout.splitlines()[-1]) == [[3, ""], [3, ""]]
    assert sys.prefix not in answer.stderr
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode
