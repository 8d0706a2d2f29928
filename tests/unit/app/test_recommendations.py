from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import main, recommendations
from app.loader import Loader
from tasks.recommend.scoring import RankConfig


@pytest.fixture
def app_loader(demo_champion) -> tuple[TestClient, Loader]:
    """A client of an app, and its loader."""
    app = main.create_app()
    return TestClient(app, base_url="http://127.0.0.1:8000"), app.state.loader


def recorded(loader: Loader, function: Any) -> tuple[list[bool], Any]:
    """The function, which notes at each call whether a question holds the turn."""
    held = list[bool]()

    def record(*arguments: Any) -> Any:
        held.append(loader.turn.locked())
        return function(*arguments)

    return held, record


@pytest.mark.parametrize("question", [{"title": "Alien"}, {"text": "a story"}])
def test_movies_are_compared_by_one_question_at_a_time(app_loader, question, monkeypatch):
    client, loader = app_loader
    held, record = recorded(loader, recommendations.recommend)
    monkeypatch.setattr(recommendations, "recommend", record)
    assert client.get("/api/recommend", params=question).status_code == 200
    assert held == [True]
    assert not loader.turn.locked()


def test_a_title_is_looked_up_before_its_turn(app_loader, monkeypatch):
    """An unknown one is searched in the index, which may be far away."""
    client, loader = app_loader
    held, record = recorded(loader, recommendations.query_from_movies)
    monkeypatch.setattr(recommendations, "query_from_movies", record)
    assert client.get("/api/recommend", params={"title": "Alien"}).status_code == 200
    assert held == [False]


def test_the_model_of_a_description_is_loaded_before_its_turn(app_loader, monkeypatch):
    client, loader = app_loader
    held, record = recorded(loader, loader.text_query)
    monkeypatch.setattr(loader, "text_query", record)
    assert client.get("/api/recommend", params={"text": "a story"}).status_code == 200
    assert held == [False]


@pytest.mark.parametrize("question", [{"title": "Alien"}, {"text": "a story"}])
def test_closeness_is_measured_with_the_weights_of_the_list(app_loader, question, monkeypatch):
    client, loader = app_loader
    rank = loader.current().champion.rank
    used = list[RankConfig]()

    def record(_: object, weights: RankConfig) -> float:
        used.append(weights)
        return 1.0

    monkeypatch.setattr(recommendations, "self_score", record)
    assert client.get("/api/recommend", params=question).status_code == 200
    assert used == [rank.for_text() if "text" in question else rank]
    assert rank.for_text() != rank


def test_a_storage_that_cannot_be_read_is_unavailable(app_loader, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("the storage does not answer")

    monkeypatch.setattr(recommendations, "recommend", fail)
    response = app_loader[0].get("/api/recommend", params={"title": "Alien"})
    assert (response.status_code, response.json()) == (
        503,
        {"detail": "the storage does not answer"},
    )
