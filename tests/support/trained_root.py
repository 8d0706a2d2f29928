"""One training on the rich catalogue for the whole test session, and copies of its results.

Tests that change nothing share a copy per module; a test that changes the registry takes its own.
The fixtures are those of `tests/flow` and `tests/system`: they import what takes seconds.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

from flows.config import TrainConfig
from flows.train import train
from tasks.registry.tracking import mlflow_client
from tasks.reports import plots
from tasks.reports.plots import save_figures
from tasks.reports.summary import Summary
from tests.support.rich_catalogue import SPLIT, write_rich_source
from tests.support.trainings import settings

#: Ranking weights of the shared training, whatever the default weights are. Movies of a collection
#: have their director in common, those of a first genre their star.
WEIGHTS: dict[str, Any] = {"content": 1, "words": 5, "title": 1, "hidden": 1, "genre": 1}
WEIGHTS |= {"people": 5, "keywords": 1, "year": 0.5, "quality": 0.5, "votes": 0}
SUMMARY = "summary.json"
DATABASE = "mlflow.db"


class TrainedRoot(NamedTuple):
    """A source, the artifacts root of its training, and the outcome.

    The source is shared by all copies: a test that changes it takes a copy.
    """

    source: Path
    artifacts: Path
    summary: Summary

    @property
    def config(self) -> TrainConfig:
        """The settings of the training."""
        return rich_settings(self.source)

    def copy(self, folder: Path) -> "TrainedRoot":
        """A copy of the artifacts root in a folder, as if the training had been made there."""
        artifacts = folder / "artifacts"
        shutil.copytree(self.artifacts, artifacts, symlinks=True)
        text = self.summary.model_dump_json().replace(str(self.artifacts), str(artifacts))
        return TrainedRoot(self.source, artifacts, Summary.model_validate_json(text))


def rich_settings(source: Path | str, **more: Any) -> TrainConfig:
    """Settings of the shared training, on this source."""
    text = SPLIT | more.pop("text", {})
    return settings(source, **{"rank": WEIGHTS, "text": text, **more})


@contextlib.contextmanager
def artifacts_in(root: Path) -> Iterator[None]:
    """Let runs write into an artifacts root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)  # what an earlier test's MLflow left
        yield


@contextlib.contextmanager
def rendered_figures() -> Iterator[None]:
    """Figures as users get them, also in a module whose other runs have blank ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "save_figures", save_figures)
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all workers of the session share."""
    base: Path = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def mlflow_database(shared_folder) -> Path:
    """MLflow's database without runs. To create its tables takes two seconds of CPU time."""
    folder = shared_folder / "mlflow-database"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            with artifacts_in(folder.with_suffix(".new")):
                mlflow_client.connect()
            folder.with_suffix(".new").rename(folder)
    return folder / DATABASE


@pytest.fixture(scope="session")
def ready_made_database(mlflow_database) -> Iterator[None]:
    """Runs in this process find the tables of MLflow's database in a new artifacts root."""
    open_client = mlflow_client.open_client

    def open_with_tables(uri: str, root: Path) -> Any:
        database = root / DATABASE
        if uri.endswith(str(database)) and not database.exists():
            root.mkdir(parents=True, exist_ok=True)
            shutil.copy(mlflow_database, database)
        return open_client(uri, root)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_client, "open_client", open_with_tables)
        yield


@pytest.fixture(scope="session")
def shared_training(shared_folder, prefect_server, ready_made_database) -> TrainedRoot:
    """The one training on the rich catalogue; the first worker that needs it trains."""
    folder = shared_folder / "rich"
    source, root = folder / "source" / "movies.csv", folder / "artifacts"
    with FileLock(f"{folder}.lock"):
        if not (folder / SUMMARY).exists():
            write_rich_source(source.parent)
            with artifacts_in(root), rendered_figures():
                summary = train(rich_settings(source))
            assert isinstance(summary, Summary)
            (folder / SUMMARY).write_text(summary.model_dump_json())
        text = (folder / SUMMARY).read_text()
    return TrainedRoot(source, root, Summary.model_validate_json(text))


@pytest.fixture(scope="module")
def module_root(shared_training, tmp_path_factory) -> TrainedRoot:
    """A copy of the shared training for the tests of a file that only read it."""
    return shared_training.copy(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def trained_root(shared_training, tmp_path, monkeypatch) -> TrainedRoot:
    """A copy of the shared training for one test, whose artifacts root it is."""
    root = shared_training.copy(tmp_path / "trained")
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(root.artifacts))
    return root


@pytest.fixture
def copied_root(tmp_path, monkeypatch) -> Callable[[Path], Path]:
    """Makes a copy of an artifacts root the one of this test; returns its path."""

    def copied(root: Path) -> Path:
        copy = tmp_path / "copy" / "artifacts"
        shutil.copytree(root, copy, symlinks=True)
        monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(copy))
        return copy

    return copied
