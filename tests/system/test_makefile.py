"""Targets of make that no page shows; `tests/system/test_docs_commands.py` executes the others."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.runtime.local_stack.stack import MLFLOW_UI
from tests.conftest import ROOT
from tests.support.checkout import Checkout
from tests.support.documents import Step

PRINT_ADDRESS = '#!/bin/sh\necho "$MLFLOW_BACKEND_STORE_URI"\n'
PRINT_PROCESSES = '#!/bin/sh\necho "$MLFLOW_WORKERS $MLFLOW_SERVER_ENABLE_JOB_EXECUTION"\n'


def printed_by_mlflow(folder: Path, script: str, **variables: str) -> str:
    """What a script prints that stands for MLflow in `make mlflow`."""
    program = folder / "mlflow"
    program.write_text(script)
    program.chmod(0o755)
    command = ["make", "-o", ".venv/.installed", "mlflow", f"BIN={folder}"]
    names = ("MLFLOW_TRACKING_URI", "RECOMMENDER_ARTIFACTS", "MAKEFLAGS", "MAKELEVEL", *MLFLOW_UI)
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
    assert printed_by_mlflow(tmp_path, PRINT_ADDRESS, **variables) == address


def test_mlflow_has_one_server_and_no_jobs_unless_the_environment_asks_for_more(tmp_path):
    assert printed_by_mlflow(tmp_path, PRINT_PROCESSES) == " ".join(MLFLOW_UI.values())
    assert printed_by_mlflow(tmp_path, PRINT_PROCESSES, MLFLOW_WORKERS="3") == "3 false"


@pytest.fixture
def checkout(real_server, migrated_database, tmp_path) -> Iterator[Checkout]:
    """A checkout in which nothing has run, with a Prefect home of its own."""
    home, folder = tmp_path / "prefect", tmp_path / "checkout"
    home.mkdir()
    folder.mkdir()
    shutil.copy(migrated_database, home / "prefect.db")
    new = Checkout(folder, real_server | {"PREFECT_HOME": str(home)})
    new.build()
    yield new
    new.end()


def make(checkout: Checkout, target: str) -> str:
    done = checkout.do(Step("run", f"make {target}".strip()))
    assert done.code == 0, done.output
    return done.output


def test_make_alone_explains_every_target(checkout):
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"make ([a-z-]+)", make(checkout, ""))
    assert set(shown) >= set(targets)
    assert (
        re.findall(r"^\.PHONY: ([a-z-]+)", (ROOT / "Makefile").read_text(), re.MULTILINE) == targets
    )


def test_make_clean_leaves_the_readme_alone(checkout):
    artifacts = checkout.folder / "artifacts"
    (artifacts / "cache" / "stage").mkdir(parents=True)
    for name in ("README.md", "mlflow.db", ".hidden", "cache/stage/file"):
        (artifacts / name).touch()
    make(checkout, "clean")
    assert [path.name for path in artifacts.iterdir()] == ["README.md"]


def test_make_clean_cache_leaves_everything_but_the_cache(checkout):
    artifacts = checkout.folder / "artifacts"
    for name in ("cache/stage/entry", "lancedb", "mlruns"):
        (artifacts / name).mkdir(parents=True)
    (artifacts / "cache" / "stage" / "entry" / "ref.json").write_text("{}")
    make(checkout, "clean-cache")
    assert not list((artifacts / "cache").rglob("ref.json"))
    assert (artifacts / "lancedb").is_dir()
    assert (artifacts / "mlruns").is_dir()


def test_make_prefect_serves_api_and_page(checkout):
    make(checkout, "prefect")
    address = f"http://127.0.0.1:{checkout.port(4200)}"
    assert httpx.get(f"{address}/api/health").json() is True
    page = httpx.get(address, follow_redirects=True)
    assert "<title>Prefect" in page.text
