"""The local stack without its servers: schedules, access, processes."""

import configparser
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State, StateType, WorkerStatus
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Pending

from flows.cli.subcommands.stack import StackConfig, command
from flows.runtime import interrupts
from flows.runtime.local_stack import access as stack_access
from flows.runtime.local_stack import mlflow_ui, stack
from flows.runtime.local_stack import processes as stack_processes
from flows.runtime.local_stack import worker as worker_program
from flows.runtime.local_stack.processes import PROGRAM_VARIABLE, STACK_VARIABLE
from flows.runtime.local_stack.schedules import (
    reschedule_interrupted_submissions,
    wait_for_schedules,
)
from tasks.core.contracts import UserError
from tests.conftest import ROOT, free_port
from tests.support.http_server import recording_server
from tests.support.patched_module import patch_import
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
        self.states: dict[UUID, tuple[StateType, bool]] = {}
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

    def set_flow_run_state(self, run: UUID, state: State[Any], force: bool) -> None:
        self.states[run] = (state.type, force)

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


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_a_stopped_worker_was_submitting_no_longer_blocks_its_deployment():
    """Prefect has given it the slot of the deployment, and keeps it for a run that is pending."""
    pool = f"pool-{uuid4()}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        flow_id = client.create_flow_from_name(f"flow-{uuid4()}")
        deployment = client.create_deployment(
            flow_id, "weekly", work_pool_name=pool, concurrency_limit=1
        )
        first, second = (client.create_flow_run_from_deployment(deployment) for _ in range(2))
        client.set_flow_run_state(first.id, Pending())
        client.set_flow_run_state(second.id, Pending())
        assert client.read_flow_run(second.id).state_name == "AwaitingConcurrencySlot"
        assert reschedule_interrupted_submissions(client, "another pool") == 0
        assert reschedule_interrupted_submissions(client, pool) == 1
        assert client.read_flow_run(first.id).state_name == "Scheduled"
        client.set_flow_run_state(second.id, Pending())
        assert client.read_flow_run(second.id).state_name == "Pending"


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


PORTS = {"prefect": 4310, "mlflow": 5010}
WEB_SERVER = "-m http.server 0 --bind 127.0.0.1"
SILENT = """-c "__import__('time').sleep(60)\""""  # what writes ends with supervisord, its reader


def configure(path: Path, programs: dict[str, str]) -> Path:
    """The stack's configuration with other programs: arguments of Python by name."""
    text = stack_processes.CONFIGURATION.read_text()
    settings = configparser.RawConfigParser(comment_prefixes=";")
    settings.read_string(text)
    section = dict(settings["program:worker"])
    for name in ("prefect", "mlflow", "worker"):
        settings.remove_section(f"program:{name}")
    for name, arguments in programs.items():
        command = f"{sys.executable} {arguments}"
        log = f"%(ENV_STACK_FOLDER)s/logs/{name}.log"
        settings[f"program:{name}"] = section | {"command": command, "stdout_logfile": log}
    with path.open("w") as file:
        settings.write(file)
    return path


@pytest.fixture
def supervised(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Start programs under supervisord, by name with their arguments of Python."""
    monkeypatch.setattr(stack_processes, "ENDING_SECONDS", 3)  # a start may swallow the interrupt

    def start(**programs: str) -> None:
        path = configure(tmp_path / "supervisord.conf", programs)
        monkeypatch.setattr(stack_processes, "CONFIGURATION", path)
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
        stack_processes.start_supervisor(environment, PORTS)
        for name in programs:
            stack_processes.launch(name)

    yield start
    stack_processes.stop()


def pids() -> dict[str, int]:
    return {program.name: program.pid for program in stack_processes.programs()}


@pytest.mark.parametrize(
    "content", [None, "", '{"process": "12', '{"process": "1 a", "folder": "/nowhere"}', "{}"]
)
def test_processes_are_stopped_without_their_record(content, supervised):
    supervised(sleeper=WEB_SERVER)
    supervisor = stack_processes.supervisor_process()
    running = [supervisor, psutil.Process(pids()["sleeper"])]
    if content is None:
        stack_processes.record_file().unlink()
    else:
        stack_processes.record_file().write_text(content)
    with pytest.raises(UserError, match="already running"):
        stack.start(stack.StackPorts())
    assert command(StackConfig(action="status")) == 1
    assert sorted(stack_processes.stop()) == sorted(f"process {one.pid}" for one in running)
    assert stack_processes.marked_processes() == []
    assert stack_processes.stop() == []


def test_the_programs_are_stopped_by_their_names_the_last_first(supervised):
    supervised(prefect=WEB_SERVER, mlflow=WEB_SERVER)
    assert sorted(stack_processes.stop()) == ["mlflow", "prefect"]
    assert stack_processes.supervisor_record() is None


RECORDING = """
import pathlib, signal, sys, time

def record(*_):
    time.sleep(1)
    pathlib.Path(sys.argv[1]).write_text("recorded")
    sys.exit()

signal.signal(signal.SIGTERM, record)
pathlib.Path(sys.argv[1]).write_text("started")
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "recording", *sys.argv[1:]])
time.sleep(60)
"""


def test_a_run_of_the_worker_records_its_end_before_the_server_is_stopped(supervised, tmp_path):
    (tmp_path / "recording.py").write_text(RECORDING)
    (tmp_path / "parent.py").write_text(PARENT)
    state = tmp_path / "state"
    supervised(prefect=WEB_SERVER, worker=f"-m parent {state}")
    wait_until(lambda: state.exists() and state.read_text() == "started")
    assert stack_processes.stop() == ["worker", "prefect"]
    assert state.read_text() == "recorded"


def test_a_program_that_was_killed_is_started_again(supervised):
    supervised(sleeper=WEB_SERVER)
    first = pids()["sleeper"]
    wait_until(lambda: stack_processes.programs()[0].state == "RUNNING")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pids()["sleeper"] not in (first, 0))
    (program,) = stack_processes.programs()
    assert program.ended_before
    assert program.ended_before <= program.since


def test_programs_whose_supervisor_was_killed_are_told_and_stopped(supervised, capsys):
    supervised(sleeper=SILENT)
    sleeper = psutil.Process(pids()["sleeper"])
    supervisor = stack_processes.supervisor_process()
    supervisor.kill()
    wait_until(lambda: stack_processes.supervisor_process() is None)
    assert command(StackConfig(action="status")) == 1
    assert "supervisord has ended: `make stop`, then `make serve`" in capsys.readouterr().out
    assert stack_processes.stop() == [f"process {sleeper.pid}"]


def test_every_program_s_log_rotates_and_every_program_is_started_again():
    settings = configparser.RawConfigParser(comment_prefixes=";")
    settings.read_string(stack_processes.CONFIGURATION.read_text())
    programs = [settings[name] for name in settings.sections() if name.startswith("program:")]
    assert len(programs) == 3
    for program in programs:
        assert program["stdout_logfile_maxbytes"] == "10MB"
        assert program["autorestart"] == "true"
        assert int(program["stopwaitsecs"]) == stack_processes.ENDING_SECONDS


STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
STUBBORN += "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
STARTING = """
import os, time
from pathlib import Path
from flows.runtime import interrupts
from flows.runtime.local_stack import processes, stack

def start_program(config):
    processes.start_supervisor(dict(os.environ), {"prefect": 1, "mlflow": 2})
    processes.launch("stubborn")
    print("started", flush=True)
    time.sleep(60)

processes.CONFIGURATION = Path("CONFIGURATION")
interrupts.install()
stack._start = start_program
stack.start(stack.StackPorts(prefect_port=PORTS[0], mlflow_port=PORTS[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_stack_starts_leaves_nothing(number, tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    path = configure(tmp_path / "supervisord.conf", {"stubborn": "-m stubborn"})
    script = STARTING.replace("PORTS", str((free_port(), free_port())))
    start = subprocess.Popen(
        [sys.executable, "-c", script.replace('CONFIGURATION")', f'{path}")')],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert start.stdout is not None
    assert start.stdout.readline() == "started\n"
    log = stack_processes.log_file("stubborn")
    wait_until(lambda: log.exists() and log.read_text() == "up\n")
    start.send_signal(number)
    _, stderr = start.communicate(timeout=20)
    messages = [line for line in stderr.splitlines() if not line.endswith(" …")]
    assert (start.returncode, messages) == (128 + number, [interrupts.MESSAGES[number]])
    assert not stack_processes.record_file().exists()
    assert stack_processes.marked_processes() == []


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
from pathlib import Path
from flows.runtime.local_stack import processes

signal.signal(signal.SIGINT, signal.SIG_IGN)
processes.CONFIGURATION = Path("CONFIGURATION")
processes.start_supervisor(dict(os.environ), {"prefect": 1, "mlflow": 2})
processes.launch("polite")
"""


def test_a_stack_that_was_started_in_the_background_ends_as_any_other(tmp_path):
    """`nohup make serve &` in a script ignores SIGINT, and so would all that it starts."""
    (tmp_path / "polite.py").write_text(POLITE)
    path = configure(tmp_path / "supervisord.conf", {"polite": "-m polite"})
    script = IN_THE_BACKGROUND.replace('CONFIGURATION")', f'{path}")')
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    log = stack_processes.log_file("polite")
    wait_until(lambda: log.exists() and log.read_text() == "up\n")
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


def test_a_wait_names_its_program_at_once_and_again_while_it_takes_long(capsys, monkeypatch):
    monkeypatch.setattr("tasks.core.heartbeat.LOG_SECONDS", 0.1)
    monkeypatch.setattr("tasks.core.heartbeat.CHECK_SECONDS", 0.05)
    answers = iter([False, False, True])
    stack_processes._wait("mlflow", lambda: True, lambda: next(answers))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Waiting for mlflow …", "Waiting for mlflow, 0 s so far"]


def test_a_program_that_ends_during_the_wait_is_a_user_error(supervised):
    supervised(worker="-m this")
    with pytest.raises(UserError, match=r"worker has ended; the reason is in .*worker\.log"):
        stack_processes.wait_for("worker", lambda: False)


def test_the_stack_of_another_user_is_neither_stopped_nor_started(supervised, monkeypatch):
    def refuse(_: Path) -> bytes:
        raise PermissionError

    supervised(sleeper=WEB_SERVER)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        for action in ("start", "status", "stop"):
            with pytest.raises(UserError, match="The stack of this root is that of "):
                command(StackConfig(action=action))
    assert pids()["sleeper"]


def test_a_supervisor_that_does_not_start_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_processes, "CONFIGURATION", tmp_path / "missing.conf")
    with pytest.raises(UserError, match=r"supervisor has ended; the reason is in .*supervisor"):
        stack_processes.start_supervisor(dict(os.environ), PORTS)
    assert "could not find config file" in stack_processes.log_file("supervisor").read_text()


@pytest.fixture
def replaced(monkeypatch) -> list[list[str]]:
    """Commands that replaced this process."""
    commands = list[list[str]]()
    for program in (worker_program, mlflow_ui):
        patch_import(monkeypatch, program, "os", execv=lambda _, args: commands.append(args[1:]))
    return commands


def test_what_a_stopped_worker_was_submitting_is_scheduled_before_the_next_one_starts(
    replaced, monkeypatch
):
    server: Any = Server()
    server.runs = [SimpleNamespace(id=uuid4())]
    monkeypatch.setattr(worker_program, "get_client", lambda **_: nullcontext(server))
    worker_program.main()
    assert server.states == {server.runs[0].id: (StateType.SCHEDULED, True)}
    assert replaced == [["-m", "prefect", "worker", "start", "--pool", "local"]]


def test_what_a_killed_mlflow_has_left_is_ended_before_the_next_one_starts(replaced, monkeypatch):
    """Its server keeps the port, and serves a database that may be another by then."""
    monkeypatch.setattr(sys, "argv", ["mlflow_ui", "--port", "5000"])
    variables = {STACK_VARIABLE: str(stack_processes.record_file())}
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, other = (
        subprocess.Popen(sleeping, env=os.environ | variables | {PROGRAM_VARIABLE: name})
        for name in ("mlflow", "worker")
    )
    mlflow_ui.main()
    assert not psutil.pid_exists(left.pid)
    assert other.poll() is None
    other.kill()
    assert replaced == [["-m", "mlflow", "ui", "--port", "5000"]]


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


def test_the_address_of_mlflow_s_database_is_a_variable_and_no_argument(monkeypatch):
    uri = "postgresql://mlflow:hidden@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_WORKERS", "2")  # wanted by the user
    settings = stack.server_settings(stack.StackPorts(), {"PREFECT_API_AUTH_STRING": "u:p"})
    assert settings["MLFLOW_BACKEND_STORE_URI"] == uri
    assert settings["MLFLOW_WORKERS"] == "2"
    assert settings["PREFECT_SERVER_API_AUTH_STRING"] == "u:p"


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
