import logging
from http.server import BaseHTTPRequestHandler, HTTPServer

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.runtime import server
from flows.runtime.server import running_prefect_server
from tests.conftest import free_port
from tests.support.http_server import served


def test_a_server_that_does_not_answer_is_not_used(artifacts, monkeypatch, caplog):
    """Prefect's client would try for minutes to reach it."""
    address = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: address}),
        caplog.at_level(logging.WARNING),
        running_prefect_server() as is_running,
    ):
        assert (is_running, PREFECT_API_URL.value()) == (False, None)
    assert f"Prefect does not answer at {address}. This command is not recorded" in caplog.text


def test_a_server_that_refuses_this_user_is_not_used(artifacts, caplog):
    """Else a release would fail that needs no server."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with (
        served(HTTPServer(("127.0.0.1", 0), Refusing)) as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
        caplog.at_level(logging.WARNING),
        running_prefect_server() as is_running,
    ):
        assert not is_running
    assert f"Prefect at {address}/api refuses: 401. This command is not recorded" in caplog.text


def test_without_a_server_none_is_used(artifacts, monkeypatch):
    monkeypatch.setattr(server, "running_server", lambda: None)
    with running_prefect_server() as is_running:
        assert (is_running, PREFECT_API_URL.value()) == (False, None)
