import pytest
from fastapi.testclient import TestClient

from app import loader, main
from tasks.core.contracts import UserError
from tests.support.published_catalogue import champion_of

ADDRESS = "http://127.0.0.1:8000"
pytestmark = pytest.mark.usefixtures("demo_champion")


@pytest.fixture
def client() -> TestClient:
    return TestClient(main.create_app(), base_url=ADDRESS, raise_server_exceptions=False)


def samples(client: TestClient) -> dict[str, float]:
    """Values of the metrics by name and labels."""
    lines = client.get("/metrics").text.splitlines()
    parts = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in parts}


def test_health_names_the_version_that_answers(client, demo_index, monkeypatch):
    champion = champion_of(demo_index).model_copy(update={"version": "7"})
    monkeypatch.setattr(loader, "load_champion", lambda: champion)
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": "7", "movies": demo_index.rows}
    assert samples(client)["recommender_champion_version"] == 7


def test_health_without_a_champion_is_an_error_for_load_balancers(client, monkeypatch):
    def fail() -> None:
        raise UserError("Nothing has been trained yet")

    monkeypatch.setattr(loader, "load_champion", fail)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"detail": "Nothing has been trained yet"})
    assert samples(client)["recommender_champion_version"] == 0


def test_requests_are_counted_by_path_and_status(client):
    for path in ("/api/genres", "/api/genres", "/api/recommend?title=nothing", "/a", "/b", "/"):
        client.get(path)
    counts = samples(client)
    expected = {("/api/genres", 200): 2, ("/api/recommend", 404): 1, ("other", 404): 2}
    for (path, status), count in {**expected, ("other", 200): 1}.items():
        assert counts[f'recommender_requests_total{{path="{path}",status="{status}"}}'] == count
    assert counts['recommender_request_seconds_count{path="/api/genres"}'] == 2
    assert counts['recommender_request_seconds_sum{path="/api/genres"}'] > 0


def test_a_request_that_breaks_is_counted_too(client, monkeypatch):
    monkeypatch.setattr(loader.Loader, "current", lambda _: 1 / 0)
    assert client.get("/api/genres").status_code == 500
    name = 'recommender_requests_total{path="/api/genres",status="500"}'
    assert samples(client)[name] == 1
