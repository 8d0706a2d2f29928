"""A damaged champion: readers say so, a training passes it over, and is its way out."""

import shutil
from pathlib import Path

import pytest

from flows.cli.predict import PredictConfig
from flows.cli.predict import command as predict
from flows.train import train
from tasks.core.contracts import DamagedVersionError
from tasks.registry.aliases import PREVIOUS, versions_by_alias
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import CHAMPION
from tasks.registry.release import promote, roll_back
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import catalogue, write_csv
from tests.support.champion_lists import titles_like
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, prefect_server) -> Path:
    """Artifacts of one training, version 1."""
    where = tmp_path_factory.mktemp("damaged")
    write_csv(where / "movies.csv", catalogue(120))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(where / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        train(settings(where / "movies.csv"))
    return where


@pytest.fixture(autouse=True)
def at_its_root(folder, monkeypatch) -> None:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(folder / "artifacts"))


def train_again(folder: Path, **more: object) -> Summary:
    """The same source and settings: everything else than the damage would keep the champion."""
    summary = train(settings(folder / "movies.csv", **more))
    assert isinstance(summary, Summary)
    return summary


def index_files() -> list[Path]:
    index = load_champion().index
    return sorted((Path(index.uri) / f"{index.tag}.lance" / "data").iterdir())


def test_an_index_that_is_gone(folder):
    """It is trained anew although nothing is new to learn."""
    damaged = load_champion()
    shutil.rmtree(Path(damaged.index.uri) / f"{damaged.index.tag}.lance")
    with pytest.raises(DamagedVersionError, match=r"Train again .*, or promote another version"):
        titles_like("Horror Story 0")
    summary = train_again(folder, skip_unchanged=True)
    assert summary.champion
    assert summary.why.startswith(
        f"the champion (version {damaged.version}) cannot be compared: The index "
    )
    assert versions_by_alias(connect()) == {CHAMPION: summary.model_version}
    assert len(titles_like("Horror Story 0")) == 10
    with pytest.raises(DamagedVersionError):
        promote(connect(), damaged.version)
    assert load_champion().run_id == summary.run.run_id


def test_an_index_that_lacks_a_file(folder):
    index_files()[0].unlink()
    summary = train_again(folder)
    assert summary.champion
    assert "or damaged" in summary.why
    assert len(titles_like("Horror Story 0")) == 10


def test_models_that_are_gone(folder, capsys):
    """Lists need only the index; genres of a text need the models, and say that they are gone."""
    damaged = load_champion()
    shutil.rmtree(folder / "artifacts" / "mlruns" / damaged.run_id / "artifacts" / "classifier")
    assert len(titles_like("Horror Story 0")) == 10
    with pytest.raises(DamagedVersionError, match="its classifier is missing"):
        predict(PredictConfig(text="A haunted grave"))
    summary = train_again(folder)
    assert summary.champion
    assert predict(PredictConfig(text="A haunted grave")) == 0


def test_a_damaged_previous_is_not_gone_back_to(folder):
    """Nor does a damaged champion become `previous`."""
    client, sound = connect(), load_champion().version
    other = train(settings(folder / "movies.csv", rank={"year": 0.0}))
    promote(client, other.model_version)
    assert versions_by_alias(client)[PREVIOUS] == sound
    promote(client, sound)
    damaged = versions_by_alias(client)[PREVIOUS]
    shutil.rmtree(folder / "artifacts" / "lancedb" / f"{other.index.tag}.lance")
    with pytest.raises(DamagedVersionError):
        roll_back(client)
    assert versions_by_alias(client) == {CHAMPION: sound, PREVIOUS: damaged}
