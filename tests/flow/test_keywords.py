"""A model trained with keywords uses them in comparison, refresh and queries."""

import json
from pathlib import Path

import pytest

from flows.cli.predict import PredictConfig
from flows.cli.predict import command as predict
from flows.refresh import refresh
from flows.train import train
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import COLUMNS, THEMES, catalogue, write_csv
from tests.support.champion_lists import titles_like
from tests.support.new_movies import asked_to_add
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")
WITH_KEYWORDS = [*COLUMNS, "keywords"]


def with_genre_in_keywords(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Movies whose genre shows in their keywords alone, not in their overviews."""
    moved = []
    for row in rows:
        words = [word for theme in THEMES.values() for word in theme if word in row["overview"]]
        overview = f"Chapter {row['id']} happens in town {row['id']}."
        moved.append(row | {"overview": overview, "keywords": json.dumps(words)})
    return moved


@pytest.fixture(scope="module")
def trained(tmp_path_factory, prefect_server) -> tuple[Path, Summary, Path]:
    folder = tmp_path_factory.mktemp("keywords")
    rows = with_genre_in_keywords(catalogue(150))
    source = write_csv(folder / "movies.csv", rows, WITH_KEYWORDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(folder / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return source, train(settings(source, text={"keywords": True})), folder / "artifacts"


@pytest.fixture(autouse=True)
def at_its_root(trained, monkeypatch) -> None:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(trained[2]))


def test_the_gate_measures_the_champion_as_it_was_measured_in_its_own_run(trained):
    source, first, _ = trained
    assert first.scores["test_f1_micro"] > 0.8
    second = train(settings(source, text={"keywords": True}, rank={"year": 0.0}))
    metrics = connect().get_run(second.run.run_id).data.metrics
    assert metrics["champion_test_f1_micro"] == pytest.approx(first.scores["test_f1_micro"])


def test_new_movies_are_embedded_and_asked_with_their_keywords(tmp_path, capsys):
    words = json.dumps(["ghost", "haunted", "curse", "midnight"])
    row = {"id": "9001", "title": "Unknown", "overview": "It happens in town.", "keywords": words}
    file = write_csv(tmp_path / "new.csv", [row], ["id", "title", "overview", "keywords"])
    refresh(asked_to_add(file))
    assert all(title.startswith("Horror Story") for title in titles_like("Unknown")[:3])
    for question in ({"file": str(file)}, {"title": "Unknown"}):
        assert predict(PredictConfig.model_validate({"json": True, "top-n": 1, **question})) == 0
        (answer,) = json.loads(capsys.readouterr().out)
        assert next(iter(answer["genres"]), None) == "Horror"
