"""The local stack without its servers: schedules, access, processes."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import WorkerStatus
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.cli.stack import StackConfig, command
from flows.runtime import interrupts
from flows.runtime.local_stack import access as stack_access
from flows.runtime.local_stack import processes as stack_processes
from flows.runtime.local_stack import stack
from flows.runtime.local_stack.schedules import wait_for_schedules
from tasks.core.contracts import UserError
from tests.conftest import ROOT, free_port
from tests.support.http_server import recording_server
from tests.support.run_stages import wait_until

STACK_URL = "http://127.0.0.1:4310/api"


class Server:
    """A client of a Prefect server with a single deployment."""

    def __init__(
        self,
        *,
        active: bool = True,
        paused: bool = False,
        pool: bool = True,
        cron: str = "0 4 * * 1",
    ) -> None:
        schedule = CronSchedule(cron=cron, timezone="UTC")
        self.schedule = SimpleNamespace(id=uuid4(), active=active, schedule=schedule)
        schedules = [self.schedule]
        self.deployment = SimpleNamespace(
            id=uuid4(), flow_id=uuid4(), name="weekly", paused=paused, schedules=schedules
        )
        self.runs: list[Any] = []
        self.named: list[str] = []
        self.pool = pool
        self.pools: list[tuple[str, str]] = []
        self.automations = list(stack.AUTOMATIONS)

    def read_deployments(self, **_: Any) -> list[Any]:
        return [self.deployment]

    def read_flow(self, flow_id: UUID) -> SimpleNamespace:
        return SimpleNamespace(name="train")

    def read_deployment_by_name(self, name: str) -> SimpleNamespace:
        if name not in self.named:
            raise ObjectNotFound(Exception(name))
        return SimpleNamespace(id=name)

    def delete_deployment(self, deployment: str) -> None:
        self.named.remove(deployment)

    def read_flow_runs(self, **_: Any) -> list[Any]:
        return self.runs

    def schedule_run(self, creator: Any) -> None:
        self.runs.append(SimpleNamespace(created_by=SimpleNamespace(id=creator)))

    def read_work_pool(self, name: str) -> None:
        if not self.pool:
            raise ObjectNotFound(Exception(name))

    def create_work_pool(self, pool: Any) -> None:
        self.pools.append((pool.name, pool.type))

    def read_automations_by_name(self, name: str) -> list[str]:
        return [known for known in self.automations if known == name]

    def create_automation(self, automation: Any) -> None:
        self.automations.append(automation.name)


def test_deployments_of_an_earlier_release_are_deleted(capsys):
    server: Any = Server()
    server.named = ["train/train-weekly", "train/weekly"]
    stack.delete_renamed_deployments(server)
    assert server.named == ["train/weekly"]
    assert (
        capsys.readouterr().out == "Deployment train/train-weekly was replaced by train/weekly.\n"
    )


def wait(server: Any) -> None:
    wait_for_schedules(server, "local", Path("logs/prefect.log"), limit_seconds=0)


def test_a_schedule_without_a_run_is_a_user_error():
    server = Server()
    server.schedule_run(uuid4())  # of a schedule that is no more
    with pytest.raises(UserError, match=r"No run of train/weekly .*its log is logs/prefect\.log"):
        wait(server)


def test_a_scheduled_run_ends_the_wait():
    server = Server()
    server.schedule_run(server.schedule.id)
    wait(server)


@pytest.mark.parametrize("state", [{"active": False}, {"paused": True}])
def test_inactive_schedules_and_paused_deployments_need_no_run(state):
    wait(Server(**state))


def test_a_schedule_beyond_the_horizon_needs_no_run():
    month = (datetime.now(UTC) + timedelta(days=180)).month
    wait(Server(cron=f"0 4 1 {month} *"))


@pytest.mark.parametrize(("pool", "created"), [(True, []), (False, [("local", "process")])])
def test_an_existing_pool_is_not_changed(pool, created, monkeypatch):
    monkeypatch.setattr(stack, "deploy", lambda _: None)
    server: Any = Server(pool=pool)
    server.named = ["refresh/refresh-daily"]  # registered by an earlier release
    stack.prepare(server, {})
    assert server.pools == created
    assert not server.named


def test_only_missing_automations_are_created(monkeypatch):
    monkeypatch.setattr(stack, "deploy", lambda _: None)
    server: Any = Server()
    server.automations = ["crash-zombie-flows"]
    stack.prepare(server, {})
    assert server.automations == ["crash-zombie-flows", "cancel-endless-runs"]


def test_the_password_is_private_and_reused():
    first = stack_access.write_access(STACK_URL)
    again = stack_access.write_access("http://127.0.0.1:4311/api")
    assert first["PREFECT_API_AUTH_STRING"] == again["PREFECT_API_AUTH_STRING"]
    assert len(first["PREFECT_API_AUTH_STRING"]) > 40
    assert stack_access.read_access() == again
    assert stack_access.access_file().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"export PREFECT_API_AUTH_STRING=recommender:a"]
)
def test_a_damaged_access_file_is_replaced_with_a_strong_password(content, monkeypatch):
    stack_access.access_file().parent.mkdir(parents=True)
    stack_access.access_file().write_bytes(content)
    assert running(monkeypatch) is None
    assert len(stack_access.write_access(STACK_URL)["PREFECT_API_AUTH_STRING"]) > 40


def test_a_shell_can_source_the_access_file():
    access = stack_access.write_access(STACK_URL)
    script = f"source {stack_access.access_file()} && printenv PREFECT_API_AUTH_STRING"
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == access["PREFECT_API_AUTH_STRING"]


def running(monkeypatch: pytest.MonkeyPatch, *answering: str, configured: str | None = None) -> Any:
    """Settings that a run uses, when these addresses answer."""
    monkeypatch.setattr(stack_access, "_accepts", lambda url, _: url in answering)
    with temporary_settings({PREFECT_API_URL: configured, PREFECT_API_AUTH_STRING: None}):
        return stack_access.running_server()


def test_a_run_uses_the_stack_s_server_and_password(monkeypatch):
    access = stack_access.write_access(STACK_URL)
    expected = {
        PREFECT_API_URL: STACK_URL,
        PREFECT_API_AUTH_STRING: access["PREFECT_API_AUTH_STRING"],
    }
    assert running(monkeypatch, STACK_URL, stack_access.LOCAL_SERVER) == expected
    assert running(monkeypatch, configured=STACK_URL) == expected


def test_a_run_uses_another_local_server_if_the_stack_is_down(monkeypatch):
    stack_access.write_access(STACK_URL)
    local = stack_access.LOCAL_SERVER
    assert running(monkeypatch, local) == {PREFECT_API_URL: local}
    assert running(monkeypatch) is None


def test_the_configured_server_never_gets_the_stack_s_password(monkeypatch):
    stack_access.write_access(STACK_URL)
    other = "https://prefect.example.org/api"
    assert running(monkeypatch, STACK_URL, configured=other) == {PREFECT_API_URL: other}


@pytest.mark.parametrize("content", [None, "", '{"worker": "12', '{"worker": "1 a"}', '{"a": ""}'])
def test_processes_are_stopped_without_their_record(content, monkeypatch):
    monkeypatch.setattr(stack_processes, "ENDING_SECONDS", 1)  # a start may swallow the interrupt
    stack_processes.launch("sleeper", ["http.server", "0", "--bind", "127.0.0.1"], {})
    process = stack_processes.running_processes()["sleeper"]
    if content is None:
        stack_processes.record_file().unlink()
    else:
        stack_processes.record_file().write_text(content)
    with pytest.raises(UserError, match="already running"):
        stack.start(stack.StackPorts())
    assert stack_processes.stop() == [f"process {process.pid}"]
    assert not process.is_running()
    assert stack_processes.stop() == []


def test_the_record_names_each_process_that_was_started(monkeypatch):
    monkeypatch.setattr(stack_processes, "ENDING_SECONDS", 1)
    for name in ("prefect", "mlflow"):
        stack_processes.launch(name, ["http.server", "0", "--bind", "127.0.0.1"], {})
    assert list(stack_processes.running_processes()) == ["prefect", "mlflow"]
    assert stack_processes.stop() == ["mlflow", "prefect"]


STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
STUBBORN += "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
STARTING = """
import os, time
from flows.runtime import interrupts
from flows.runtime.local_stack import stack
from flows.runtime.local_stack.processes import launch

def start_program(config):
    launch("stubborn", ["stubborn"], os.environ)
    print("started", flush=True)
    time.sleep(60)

interrupts.install()
stack._start = start_program
stack.start(stack.StackPorts(prefect_port=PORTS[0], mlflow_port=PORTS[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_stack_starts_leaves_nothing(number, tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    script = STARTING.replace("PORTS", str((free_port(), free_port())))
    start = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert start.stdout is not None
    assert start.stdout.readline() == "started\n"
    log = stack_processes.log_file("stubborn")
    wait_until(lambda: log.read_text() == "up\n")
    program = stack_processes.running_processes()["stubborn"]
    start.send_signal(number)
    _, stderr = start.communicate(timeout=20)
    assert (start.returncode, stderr) == (128 + number, interrupts.MESSAGES[number] + "\n")
    assert not program.is_running()
    assert not stack_processes.record_file().exists()


POLITE = """
import time
print("up", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("ended", flush=True)
"""
IN_THE_BACKGROUND = """
import os, signal
from flows.runtime.local_stack import processes

signal.signal(signal.SIGINT, signal.SIG_IGN)
processes.launch("polite", ["polite"], dict(os.environ))
"""


def test_a_stack_that_was_started_in_the_background_ends_as_any_other(tmp_path):
    """`nohup make serve &` in a script ignores SIGINT, and so would all that it starts."""
    (tmp_path / "polite.py").write_text(POLITE)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    subprocess.run([sys.executable, "-c", IN_THE_BACKGROUND], env=environment, check=True)
    log = stack_processes.log_file("polite")
    wait_until(lambda: log.read_text() == "up\n")
    assert stack_processes.stop() == ["polite"]
    assert log.read_text() == "up\nended\n"


@pytest.mark.parametrize("action", ["start", "stop"])
def test_an_artifacts_root_that_is_a_file_is_a_user_error(action, artifacts):
    artifacts.touch()
    with pytest.raises(UserError, match="is a file, not a folder"):
        command(StackConfig(action=action))


def worker(**changes: Any) -> Any:
    values = {"status": WorkerStatus.ONLINE, "last_heartbeat_time": datetime.now(UTC)}
    return SimpleNamespace(**values | changes)


@pytest.mark.parametrize(
    ("workers", "ready"),
    [
        ([], False),
        ([worker(status=WorkerStatus.OFFLINE)], False),
        ([worker(last_heartbeat_time=datetime(2026, 1, 1, tzinfo=UTC))], False),  # an earlier one
        ([worker(last_heartbeat_time=None), worker()], True),
    ],
)
def test_a_worker_is_ready_after_a_heartbeat_since_the_start(workers, ready):
    client: Any = SimpleNamespace(read_workers_for_work_pool=lambda _: workers)
    since = datetime(2026, 2, 1, tzinfo=UTC)
    assert stack.has_worker(client, since) == ready


def test_a_program_that_ends_during_the_wait_is_a_user_error():
    stack_processes.launch("worker", ["this"], {})
    with pytest.raises(UserError, match=r"worker has ended; the reason is in .*worker\.log"):
        stack_processes.wait_for("worker", lambda: False)


def test_no_request_to_this_machine_uses_the_proxy(monkeypatch):
    requests = list[str]()
    api = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setenv("no_proxy", "")  # both names are put back after the test
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("NO_PROXY", "example.org")
    with recording_server(200, requests) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        assert not stack_access._accepts(api, "recommender:hidden")
        assert not stack.is_responding(f"{api}/health")
        stack_access.bypass_proxy()
        with pytest.raises(httpx.ConnectError):
            httpx.get(api)  # as Prefect's clients do
    assert os.environ["NO_PROXY"] == "example.org,127.0.0.1"
    assert requests == []


def test_without_a_proxy_the_environment_is_not_changed(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    stack_access.bypass_proxy()
    assert "NO_PROXY" not in os.environ


def test_a_failed_write_of_the_access_file_leaves_no_password(artifacts, monkeypatch):
    def fail(path: Path, text: str) -> None:
        path.write_bytes(text.encode())
        raise OSError("full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="full"):
        stack_access.write_access(STACK_URL)
    assert list(artifacts.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:///m.db", None),
        ("postgresql://u:p@db/m", None),
        (
            "https://u:p@mlflow.example.org:5000/team?token=t",
            "https://mlflow.example.org:5000/team",
        ),
    ],
)
def test_no_ui_is_started_for_an_mlflow_server(uri, address, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert stack.remote_mlflow() == address


def test_the_address_of_mlflow_s_database_is_no_argument(monkeypatch):
    launched = list[tuple[list[str], dict[str, str]]]()
    uri = "postgresql://mlflow:hidden@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(stack, "launch", lambda _, command, env: launched.append((command, env)))
    stack_processes.address_file().parent.mkdir(parents=True)
    stack.start_mlflow(5000)
    ((command, environment),) = launched
    assert "hidden" not in " ".join(command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri


def make(*arguments: str, uri: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-o", ".venv/.installed", "mlflow", f"MLFLOW_TRACKING_URI={uri}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_make_mlflow_says_that_a_server_has_its_own_ui():
    done = make(uri="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "names a server, which has its own UI" in done.stderr


def test_make_mlflow_puts_no_database_address_on_a_command_line():
    done = make("-n", uri="postgresql://mlflow:hidden@db/mlflow")
    assert "mlflow ui" in done.stdout
    assert "hidden" not in done.stdout
