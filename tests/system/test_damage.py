"""A damaged champion: readers say so, a training passes it over, and is its way out."""

import shutil
from pathlib import Path

import pytest

from flows.cli.subcommands.predict import PredictConfig
from flows.cli.subcommands.predict import command as predict
from flows.train import train
from tasks.core.contracts import DamagedVersionError
from tasks.registry.aliases import PREVIOUS, versions_by_alias
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import CHAMPION
from tasks.registry.release import promote, roll_back
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.support.champion_lists import titles_like
from tests.support.trained_root import WEIGHTS, TrainedRoot, rich_settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")


def train_again(root: TrainedRoot, **more: object) -> Summary:
    """The same source and settings: everything else than the damage would keep the champion."""
    summary = train(rich_settings(root.source, **more))
    assert isinstance(summary, Summary)
    return summary


def index_files() -> list[Path]:
    index = load_champion().index
    return sorted((Path(index.uri) / f"{index.tag}.lance" / "data").iterdir())


def test_an_index_that_is_gone(trained_root):
    """It is trained anew although nothing is new to learn."""
    damaged = load_champion()
    shutil.rmtree(Path(damaged.index.uri) / f"{damaged.index.tag}.lance")
    with pytest.raises(DamagedVersionError, match=r"Train again .*, or promote another version"):
        titles_like("Horror Story 0")
    summary = train_again(trained_root, skip_unchanged=True)
    assert summary.outcome == "promoted"
    assert summary.why.startswith(
        f"the champion (version {damaged.version}) cannot be compared: The index "
    )
    assert versions_by_alias(connect()) == {CHAMPION: summary.model_version}
    assert len(titles_like("Horror Story 0")) == 10
    with pytest.raises(DamagedVersionError):
        promote(connect(), damaged.version)
    assert load_champion().run_id == summary.run.run_id


def test_an_index_that_lacks_a_file(trained_root):
    index_files()[0].unlink()
    summary = train_again(trained_root)
    assert summary.outcome == "promoted"
    assert "or damaged" in summary.why
    assert len(titles_like("Horror Story 0")) == 10


def test_models_that_are_gone(trained_root, capsys):
    """Lists need only the index; genres of a text need the models, and say that they are gone."""
    damaged = load_champion()
    shutil.rmtree(trained_root.artifacts / "mlruns" / damaged.run_id / "artifacts" / "classifier")
    assert len(titles_like("Horror Story 0")) == 10
    with pytest.raises(DamagedVersionError, match="its classifier is missing"):
        predict(PredictConfig(text="A haunted grave"))
    summary = train_again(trained_root)
    assert summary.outcome == "promoted"
    assert predict(PredictConfig(text="A haunted grave")) == 0


def test_a_damaged_previous_is_not_gone_back_to(trained_root):
    """Nor does a damaged champion become `previous`."""
    client, sound = connect(), load_champion().version
    other = train_again(trained_root, rank=WEIGHTS | {"year": 0.0})
    promote(client, other.model_version)
    assert versions_by_alias(client)[PREVIOUS] == sound
    promote(client, sound)
    damaged = versions_by_alias(client)[PREVIOUS]
    shutil.rmtree(trained_root.artifacts / "lancedb" / f"{other.index.tag}.lance")
    with pytest.raises(DamagedVersionError):
        roll_back(client)
    assert versions_by_alias(client) == {CHAMPION: sound, PREVIOUS: damaged}
