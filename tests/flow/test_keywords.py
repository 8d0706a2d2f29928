"""A model trained with keywords uses them in comparison, refresh and queries."""

import json
from pathlib import Path

import pytest

from flows.cli.subcommands.predict import PredictConfig
from flows.cli.subcommands.predict import command as predict
from flows.refresh import refresh
from flows.train import train
from tasks.core.contracts import DocumentsRef
from tasks.core.documents import tokens_of
from tasks.core.storage import store
from tasks.recommend.search import open_version
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import load_champion, model_folders
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import COLUMNS, THEMES, catalogue, write_csv
from tests.support.champion_lists import titles_like
from tests.support.new_movies import asked_to_add
from tests.support.stored import stored_refs
from tests.support.trained_root import artifacts_in
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
    with artifacts_in(folder / "artifacts"):
        return source, train(settings(source, text={"keywords": True})), folder / "artifacts"


@pytest.fixture(autouse=True)
def at_its_root(trained, copied_root) -> None:
    """Every test has a copy of the root."""
    copied_root(trained[2])


def test_documents_are_the_same_in_training_and_outside_of_it(trained):
    documents = store.join(stored_refs("documents", DocumentsRef))
    model = TextModel(model_folders(load_champion()))
    table = store.read(documents)
    columns = (table[name].to_pylist() for name in ("title", "overview", "keywords"))
    assert model.documents(*columns) == table["document"].to_pylist()
    assert "haunt" not in table["overview"][0].as_py()
    assert {"haunted", "ghost", "curse"} & set(tokens_of(table["document"][0].as_py()))


def test_a_refresh_gives_a_movie_of_the_training_the_same_vectors(trained, tmp_path):
    before = vectors_of(1003)
    rows = [row for row in with_genre_in_keywords(catalogue(150)) if row["id"] == "1003"]
    refresh(asked_to_add(write_csv(tmp_path / "same.csv", rows, WITH_KEYWORDS)))
    assert vectors_of(1003) == pytest.approx(before, abs=1e-5)


def vectors_of(movie_id: int) -> list[float]:
    """Vectors of a movie in the champion's index."""
    index = load_champion().index
    rows = open_version(index.uri, index.tag).search().where(f"id = '{movie_id}'").to_list()
    return [*rows[0]["content"], *rows[0]["hidden"]]


def test_the_gate_measures_the_champion_as_it_was_measured_in_its_own_run(trained):
    source, first, _ = trained
    assert first.scores["test_f1_micro"] > 0.8
    second = train(settings(source, text={"keywords": True}, rank={"year": 0.0}))
    metrics = without_groups(connect().get_run(second.run.run_id).data.metrics)
    assert metrics["gate_f1_micro_champion"] == pytest.approx(metrics["gate_f1_micro"])


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
