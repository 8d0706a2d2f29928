import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed, Failed

from flows.batch import BatchConfig, batch
from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.phases import publishing
from flows.refresh import RefreshConfig, refresh
from flows.runtime import hooks, notifications, publication
from flows.runtime.hooks import effective_settings, page, run_steps
from flows.runtime.publication import IncompleteError
from flows.runtime.resume_commands import arguments
from flows.train import train
from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import FLOW_RUN_TAG
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tests.conftest import catalogue, free_port, write_csv
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
    nobody = f"http://127.0.0.1:{free_port()}"
    body = {"body": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="nobody", url=nobody, json_data=body)
    block.save("nobody", overwrite=True)
    config = settings(damaged(tmp_path), notify="custom-webhook/nobody")
    with pytest.raises(UserError, match="33% of the rows are invalid"):
        train(config)
    assert "33% of the rows are invalid" in latest_failure()
    assert "The notification was not sent" in caplog.text


def training_with(notify: str, source: str) -> None:
    train(settings(source, notify=notify))


def refresh_with(notify: str, source: str) -> None:
    refresh(RefreshConfig(file=source, notify=notify))


def batch_with(notify: str, source: str) -> None:
    batch(BatchConfig(notify=notify))


@pytest.mark.parametrize("run", [training_with, refresh_with, batch_with])
def test_a_notification_block_that_does_not_exist_is_refused_at_the_start(tmp_path, run):
    """It names those that exist, and only those that can send messages."""
    block = CustomWebhookNotificationBlock(name="team", url="http://127.0.0.1:1", json_data={})
    block.save("team", overwrite=True)
    Secret(value="s").save("no-notification", overwrite=True)
    with pytest.raises(UserError) as error:
        run("slack-webhook/nope", str(write_csv(tmp_path / "movies.csv", catalogue(90))))
    message = str(error.value)
    assert message.startswith("Prefect has no notification block 'slack-webhook/nope': there are ")
    assert "custom-webhook/team" in message
    assert "no-notification" not in message
    assert message.endswith(f". {notifications.HOW_TO_CREATE}.")
    assert connect().search_runs([experiment_id(connect())]) == []


def test_without_a_notification_block_the_refusal_says_so(monkeypatch):
    monkeypatch.setattr(notifications, "notification_blocks", lambda client: iter(()))
    with pytest.raises(UserError, match=r"no notification block 'a/b': there is none\. `prefect"):
        notifications.require_block("a/b")


def broken(*_: object) -> str:
    raise OSError("no space for the report")


def test_a_run_that_fails_after_a_version_was_published_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "report", broken)
    published = "Version 1 is the champion, but its report is missing."
    with pytest.raises(IncompleteError) as error:
        train(settings(write_csv(tmp_path / "movies.csv", catalogue(90))))
    assert str(error.value) == f"{published} no space for the report (OSError)"
    assert latest_failure().count(published) == 1
    assert load_champion().version == "1"


def test_the_page_of_an_interrupted_run_names_the_version_that_it_published(tmp_path, monkeypatch):
    source = write_csv(tmp_path / "movies.csv", catalogue(90))
    monkeypatch.setattr(publishing, "report", broken)
    with pytest.raises(IncompleteError):
        train(settings(source))
    (run,) = connect().search_runs([experiment_id(connect())])
    flow_run = FlowRun(name="train", flow_id=uuid4(), id=run.data.tags[FLOW_RUN_TAG])
    page_text = page(train, flow_run, Crashed(message="Interrupted."))
    assert "Version 1 is the champion, but its report is missing. Interrupted." in page_text
    other = page(train, FlowRun(name="x", flow_id=uuid4()), Crashed(message="Interrupted."))
    assert "Version" not in other


def test_the_page_does_not_wait_for_mlflow(monkeypatch):
    monkeypatch.setattr(publication, "LOOK_UP_SECONDS", 0.1)
    monkeypatch.setattr(publication, "publication_of", lambda _: threading.Event().wait())
    text = page(train, FlowRun(name="x", flow_id=uuid4()), Failed(message="MLflow is down."))
    assert "MLflow is down." in text


def test_a_registry_that_fails_is_logged_and_the_page_is_written(monkeypatch, caplog):
    def fail(_: str) -> str:
        raise OSError("the registry at http://me:s3cr3t@host is gone")

    monkeypatch.setattr(publication, "publication_of", fail)
    with caplog.at_level("WARNING", "prefect.movie_recommender"):
        text = page(train, FlowRun(name="x", flow_id=uuid4()), Failed(message="It failed."))
    assert "It failed." in text
    assert "does not say what was published: the registry" in caplog.text
    assert "s3cr3t" not in caplog.text


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


@pytest.mark.parametrize(
    ("reason", "freed"),
    [
        ("UserError: The disk is full: 0 MB are free at /srv.", 1),
        ("UserError: The disk of /srv/its root is full (3 MB free).", 1),
        ("UserError: The theatre is full", 0),
        (None, 0),
    ],
)
def test_a_run_that_a_full_disk_ended_frees_what_earlier_ones_have_cached(
    reason, freed, monkeypatch
):
    calls = list[str]()
    monkeypatch.setattr(store, "free_disk", lambda: calls.append("freed"))
    hooks._free_disk(Failed(message=reason))
    assert len(calls) == freed
    steps = hooks.end_steps(train, FlowRun(flow_id=uuid4()), Failed(message=reason))
    steps["Space on the disk was not freed"]()
    assert len(calls) == 2 * freed


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
    assert effective_settings(config)["notify"] == name


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        ("failure", []),
        ("promotion", ["Completed"]),
        ("end", ["Completed", "Skipped"]),
    ],
)
def test_completed_runs_are_told_of_where_that_is_asked_for(
    tmp_path, receiver, caplog, wanted, subjects
):
    """The second run is skipped."""
    address, posted = receiver
    body = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="team", url=address, json_data=body)
    block.save("team", overwrite=True)
    source = write_csv(tmp_path / "movies.csv", catalogue(90))
    asked = {"notify": "custom-webhook/team", "notify_on": wanted, "skip_unchanged": True}
    for _ in range(2):
        train(settings(source, **asked))
    assert [message["subject"].rpartition(": ")[2] for message in posted] == subjects
    texts = ["Version 1 is the champion: no earlier champion.", "Skipped: the champion was trained"]
    for message, text in zip(posted, texts, strict=False):
        assert message["body"].startswith(text)
    assert "The notification was not sent" not in caplog.text


def test_the_notification_is_sent_if_mlflow_is_down(tmp_path, receiver, monkeypatch, caplog):
    def down(*_: str) -> None:
        raise ConnectionError("refused")

    address, posted = receiver
    block = CustomWebhookNotificationBlock(name="team", url=address, json_data={"body": "{{body}}"})
    block.save("team", overwrite=True)
    monkeypatch.setattr("mlflow.MlflowClient.set_terminated", down)
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
