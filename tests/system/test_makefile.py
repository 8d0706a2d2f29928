"""What make hands on to the programs that it starts."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

PRINT_ADDRESS = '#!/bin/sh\necho "$MLFLOW_BACKEND_STORE_URI"\n'


def address_for_mlflow(folder: Path, **variables: str) -> str:
    """The database that `make mlflow` names to MLflow, which a script stands for."""
    program = folder / "mlflow"
    program.write_text(PRINT_ADDRESS)
    program.chmod(0o755)
    command = ["make", "-o", ".venv/.installed", "mlflow", f"BIN={folder}"]
    names = ("MLFLOW_TRACKING_URI", "RECOMMENDER_ARTIFACTS", "MAKEFLAGS", "MAKELEVEL")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        command, cwd=ROOT, env=rest | variables, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "sqlite:///artifacts/mlflow.db"),
        ({"RECOMMENDER_ARTIFACTS": "/data/a$b"}, "sqlite:////data/a$b/mlflow.db"),
        ({"MLFLOW_TRACKING_URI": "postgresql://u:pa$word@h/m"}, "postgresql://u:pa$word@h/m"),
    ],
)
def test_a_dollar_sign_stays_in_the_address_of_the_database(tmp_path, variables, address):
    assert address_for_mlflow(tmp_path, **variables) == address
