"""Limits of the registered model, and rows that it cannot answer."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from tasks.core.contracts import DamagedVersionError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.query import RecommendationQuery
from tasks.recommend.text_model import GenrePrediction
from tasks.registry.champion import Champion
from tasks.registry.served_model import MAX_CHARACTERS, MAX_ROWS, MovieRecommender
from tests.support.index_rows import rows
from tests.support.published_catalogue import champion_of, demo_index  # noqa: F401 - a fixture


def answers(model: MovieRecommender, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = model.predict(None, pd.DataFrame(rows)).to_dict("records")
    return records


def test_a_request_with_too_many_rows_is_refused():
    with pytest.raises(MlflowException, match=r"at most 1000 rows \(got 1001\)"):
        answers(MovieRecommender(), [{"title": "Alien"}] * (MAX_ROWS + 1))


@pytest.mark.parametrize("column", ["title", "text"])
def test_a_text_that_is_too_long_is_an_error_of_its_row_alone(column):
    (answer,) = answers(MovieRecommender(), [{column: "a" * (MAX_CHARACTERS + 1)}])
    assert answer["error"] == "A title or text may have at most 10000 characters (got 10001)."


def test_a_row_that_fails_leaves_the_other_answers_intact(monkeypatch, caplog):
    def answer(_: object, row: dict[str, Any], limit: int) -> dict[str, Any]:
        if row["title"] == "broken":
            raise ZeroDivisionError("division by zero")
        return {"genres": ["War"]}

    monkeypatch.setattr(MovieRecommender, "_answer", answer)
    failed, answered = answers(MovieRecommender(), [{"title": "broken"}, {"title": "Alien"}])
    assert failed["error"] == "Failed: division by zero (ZeroDivisionError)."
    assert (answered["error"], answered["genres"]) == ("", ["War"])
    assert "A row could not be answered" in caplog.text


@pytest.mark.parametrize(
    ("cell", "title"),
    [(300, "300"), (300.0, "300"), (8.5, "8.5"), (" Up ", "Up"), (10**9, "1000000000")],
)
def test_a_number_is_a_title_too(cell, title, monkeypatch):
    asked = list[str]()
    monkeypatch.setattr(MovieRecommender, "_from_title", lambda _, title, __: asked.append(title))
    answers(MovieRecommender(), [{"title": cell}])
    assert asked == [title]


@pytest.mark.parametrize("cell", [None, float("nan"), "", " "])
def test_a_row_without_a_title_or_a_text_is_an_error(cell):
    (answer,) = answers(MovieRecommender(), [{"title": cell}])
    assert answer["error"] == "Give each row a title or a text."


@pytest.mark.parametrize("cell", [["Alien"], {"a": 1}])
def test_a_list_is_no_title(cell):
    (answer,) = answers(MovieRecommender(), [{"title": cell}])
    assert answer["error"].startswith("A title or text is a text or a number (got ")


def test_an_answer_says_which_movie_was_taken(monkeypatch):
    """`_answer` puts the notes of the query beside the movies."""
    model = MovieRecommender()
    model.version, model.champion = None, SimpleNamespace(rank=None)
    query = RecommendationQuery("Gravity (2013)", None, [0], ("Took Gravity (2013).",))
    prediction = GenrePrediction(["War"], {"War": 1.0})
    monkeypatch.setattr(model, "_from_title", lambda *_: (None, query, prediction))
    monkeypatch.setattr("tasks.recommend.query.recommend", lambda *_: [])
    (answer,) = answers(model, [{"title": "Gravity"}])
    assert (answer["note"], answer["error"]) == ("Took Gravity (2013).", "")


def test_models_that_changed_since_they_were_registered_are_refused(
    demo_index,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    checked = list[tuple[Champion, ModelFolders]]()

    def refuse(champion: Champion, folders: ModelFolders) -> None:
        checked.append((champion, folders))
        raise DamagedVersionError("it has changed since it was registered")

    monkeypatch.setattr("tasks.registry.champion.require_registered", refuse)
    reader = tmp_path / "reader.json"
    reader.write_text(champion_of(demo_index).model_dump_json())
    folders = {name: str(tmp_path / name) for name in ModelFolders.model_fields}
    context = SimpleNamespace(artifacts={**folders, "reader": str(reader)})
    with pytest.raises(DamagedVersionError, match="changed since it was registered"):
        MovieRecommender().load_context(context)
    assert checked == [(champion_of(demo_index), ModelFolders.model_validate(folders))]


def test_genres_of_a_known_movie_are_predicted_from_all_of_its_texts():
    asked = list[tuple[list[str], list[str], list[list[str]]]]()

    def predict(*texts: Any) -> list[GenrePrediction]:
        asked.append(texts)  # type: ignore[arg-type]
        return [GenrePrediction(["War"], {"War": 0.9})]

    catalogue = Catalogue(rows(["Alien", "Up"], keywords=[["space", "ship"], []]))
    model = MovieRecommender()
    model.version = SimpleNamespace(catalogue=catalogue)  # type: ignore[assignment]
    model.text_model = SimpleNamespace(predict_genres=predict)  # type: ignore[assignment]
    model._from_title("Alien", 3)
    assert asked == [(["Alien"], [catalogue.movie(0)["overview"]], [["space", "ship"]])]
