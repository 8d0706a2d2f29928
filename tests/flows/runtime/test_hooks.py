import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import ArtifactSort
from prefect.states import Failed

from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.runtime.hooks import notification_block, page, run_parts
from flows.runtime.resume_commands import arguments
from flows.train import train
from tasks.core.contracts import UserError
from tasks.registry.tracking.tracking import connect, experiment_id
from tests.conftest import catalogue, write_csv
from tests.flows.test_train import settings

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

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()


def latest_failure() -> str:
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["failure"])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    assert found.flow_run_id is not None
    return str(found.data)


def damaged(tmp_path) -> str:
    """A source that looks well at its beginning."""
    rows = catalogue(120) + [row | {"id": "x"} for row in catalogue(60)]
    return str(write_csv(tmp_path / "none.csv", rows))


def test_a_failed_run_says_why_how_to_go_on_and_tells_someone(tmp_path, receiver):
    address, posted = receiver
    message = {"subject": "{{subject}}", "body": "{{body}}"}
    hook = CustomWebhookNotificationBlock(name="team", url=address, json_data=message)
    hook.save("team", overwrite=True)
    config = settings(damaged(tmp_path), notify="custom-webhook/team")
    with pytest.raises(UserError, match="33% of the rows are damaged"):
        train(config)
    page = latest_failure()
    assert "33% of the rows are damaged" in page
    assert "movie-recommender train" in page
    assert config.source[0] in page
    (told,) = posted
    assert told["subject"].endswith(": Failed")
    assert told["body"] == page
    (run,) = connect().search_runs([experiment_id(connect())])
    assert run.info.status == "FAILED"


def test_a_webhook_that_does_not_answer_hides_nothing(tmp_path, caplog):
    config = settings(damaged(tmp_path), notify="custom-webhook/nobody")
    with pytest.raises(UserError, match="33% of the rows are damaged"):
        train(config)
    assert "33% of the rows are damaged" in latest_failure()
    assert "Nobody was told" in caplog.text


def test_a_part_that_fails_or_hangs_keeps_no_other_from_it(caplog):
    done = []

    def fail() -> None:
        raise OSError("no space")

    hang = threading.Event().wait
    parts = {"MLflow": fail, "Page": hang, "Nobody was told": lambda: done.append("told")}
    run_parts(parts, 0.2, logging.getLogger("hooks"))
    assert done == ["told"]
    assert "MLflow: no space (OSError)" in caplog.text
    assert "Page: not done within 0.2 s" in caplog.text


def test_a_page_is_written_where_no_command_can_be(monkeypatch):
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
def test_overrides_too_may_name_the_notification_block(config, name):
    assert notification_block(config) == name


def test_mlflow_down_hides_nothing(tmp_path, receiver, monkeypatch, caplog):
    def down(*_: str) -> None:
        raise ConnectionError("refused")

    address, posted = receiver
    block = CustomWebhookNotificationBlock(name="team", url=address, json_data={"body": "{{body}}"})
    block.save("team", overwrite=True)
    monkeypatch.setattr("flows.runtime.hooks.fail_run", down)
    with pytest.raises(UserError, match="33% of the rows are damaged"):
        train(settings(damaged(tmp_path), notify="custom-webhook/team"))
    assert posted == [{"body": latest_failure()}]
    assert "The MLflow run was not closed: refused (ConnectionError)" in caplog.text


@pytest.mark.parametrize("preset", ["default", "blog"])
def test_what_was_given_gives_the_config_again_and_no_more(preset):
    given = {"preset": preset, "source": ["m.csv"], "doc2vec": {"seed": 7}}
    config = TrainConfig.model_validate(given)
    assert config.explicit_settings == given
    assert parse(TrainConfig, "train", arguments(config)) == config
