import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed

from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.runtime.hooks import notification_block, page, run_steps
from flows.runtime.resume_commands import arguments
from flows.train import train
from tasks.core.contracts import UserError
from tasks.registry.champion import load_champion
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tests.conftest import catalogue, write_csv
from tests.support.http_server import served
from tests.support.prefect_artifacts import latest_failure
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook on this machine, and what was posted to it."""
    posted: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with served(HTTPServer(("127.0.0.1", 0), Hook)) as address:
        yield address, posted


def damaged(tmp_path) -> str:
    """A source whose first rows are valid."""
    rows = catalogue(120) + [row | {"id": "x"} for row in catalogue(60)]
    return str(write_csv(tmp_path / "none.csv", rows))


def test_a_failed_run_writes_reason_and_command_and_sends_a_notification(tmp_path, receiver):
    address, posted = receiver
    message = {"subject": "{{subject}}", "body": "{{body}}"}
    hook = CustomWebhookNotificationBlock(name="team", url=address, json_data=message)
    hook.save("team", overwrite=True)
    config = settings(damaged(tmp_path), notify="custom-webhook/team")
    with pytest.raises(UserError, match="33% of the rows are invalid"):
        train(config)
    page = latest_failure()
    assert "33% of the rows are invalid" in page
    assert "movie-recommender train" in page
    assert config.source[0] in page
    (message,) = posted
    assert message["subject"].endswith(": Failed")
    assert message["body"] == page
    (run,) = connect().search_runs([experiment_id(connect())])
    assert run.info.status == "FAILED"
    with pytest.raises(UserError, match="Nothing has been trained"):
        load_champion()


def test_the_page_is_written_if_the_webhook_does_not_respond(tmp_path, caplog):
    config = settings(damaged(tmp_path), notify="custom-webhook/nobody")
    with pytest.raises(UserError, match="33% of the rows are invalid"):
        train(config)
    assert "33% of the rows are invalid" in latest_failure()
    assert "The notification was not sent" in caplog.text


def test_a_step_that_fails_or_hangs_does_not_block_the_others(caplog):
    sent = []

    def fail() -> None:
        raise OSError("no space")

    hang = threading.Event().wait
    steps = {"MLflow": fail, "Page": hang, "Notification": lambda: sent.append("page")}
    run_steps(steps, 0.2, logging.getLogger("hooks"))
    assert sent == ["page"]
    assert "MLflow: no space (OSError)" in caplog.text
    assert "Page: not done within 0.2 s" in caplog.text


def test_the_page_is_written_without_a_command(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "https://alice:s3cr3t@bucket/folder")
    run = FlowRun(name="blue-fox", flow_id=uuid4(), parameters={"config": {"source": ["m.csv"]}})
    text = page(train, run, Failed(message="disk full"))
    assert "disk full" in text
    assert "no command: RECOMMENDER_ARTIFACTS=https://***@bucket/folder has a login" in text


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"notify": "a/b"}, "a/b"),
        ({"overrides": {"notify": "a/b"}}, "a/b"),
        ({"notify": "a/b", "overrides": [1]}, "a/b"),
        ({"notify": None}, None),
    ],
)
def test_the_notification_block_may_be_set_by_overrides(config, name):
    assert notification_block(config) == name


def test_the_notification_is_sent_if_mlflow_is_down(tmp_path, receiver, monkeypatch, caplog):
    def down(*_: str) -> None:
        raise ConnectionError("refused")

    address, posted = receiver
    block = CustomWebhookNotificationBlock(name="team", url=address, json_data={"body": "{{body}}"})
    block.save("team", overwrite=True)
    monkeypatch.setattr("flows.runtime.hooks.fail_run", down)
    with pytest.raises(UserError, match="33% of the rows are invalid"):
        train(settings(damaged(tmp_path), notify="custom-webhook/team"))
    assert posted == [{"body": latest_failure()}]
    assert "The MLflow run was not closed: refused (ConnectionError)" in caplog.text


@pytest.mark.parametrize("preset", ["default", "blog"])
def test_explicit_settings_restore_the_config(preset):
    settings = {"preset": preset, "source": ["m.csv"], "doc2vec": {"seed": 7}}
    config = TrainConfig.model_validate(settings)
    assert config.explicit_settings == settings
    assert parse(TrainConfig, "train", arguments(config)) == config
