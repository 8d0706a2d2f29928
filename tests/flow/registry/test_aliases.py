import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.registry import aliases
from tasks.registry.aliases import MOVED, PREVIOUS, move_champion, versions_by_alias
from tasks.registry.model_registry import CHAMPION, MODEL
from tasks.registry.tracking.mlflow_client import connect

SERVER = {PREFECT_API_URL: "http://127.0.0.1:4200/api"}


@pytest.fixture
def events(artifacts, monkeypatch):
    """Names and payloads of the events, which are not sent, in a root with two versions."""
    client = connect()
    client.create_registered_model(MODEL)
    for _ in range(2):
        client.create_model_version(MODEL, "file:///nowhere")
    emitted = []

    def emit(event, resource, payload):
        emitted.append((event, resource["prefect.resource.id"], payload))

    monkeypatch.setattr(aliases, "emit_event", emit)
    return emitted


def test_every_other_champion_is_announced_with_the_one_before_it(events):
    with temporary_settings(SERVER):
        for version in ("1", "2", "2", "1"):
            move_champion(connect(), version)
    assert versions_by_alias(connect()) == {CHAMPION: "1", PREVIOUS: "2"}
    moves = [("1", ""), ("2", "1"), ("1", "2")]
    assert events == [
        (MOVED, "movie-recommender", {"version": version, "before": before})
        for version, before in moves
    ]


def test_without_a_server_nothing_is_announced(events):
    """Prefect would start a server of its own for the event."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        move_champion(connect(), "1")
    assert versions_by_alias(connect()) == {CHAMPION: "1"}
    assert events == []
