import socket
import subprocess
import sys

import pytest

from flows.runtime import temporary_server
from tasks.core import processes
from tasks.core.contracts import UserError
from tasks.core.storage import store
from tests.conftest import free_port
from tests.support.http_server import recording_server


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def write_record(process: "subprocess.Popen[bytes]", owner: str, host: str | None = None) -> None:
    record = temporary_server._record_of(process)
    names = store.read_json(record) | {"owner": owner} | ({"host": host} if host else {})
    store.write_json(record, names)


@pytest.mark.parametrize(
    ("owner", "host", "ended"),
    [
        ("1 another-boot:1", None, True),
        (processes.process_name(), None, False),
        ("1 another-boot:1", "another-machine", False),
    ],
    ids=["owner dead", "owner alive", "another machine"],
)
def test_a_server_whose_run_was_killed_is_ended_by_the_next_run(owner, host, ended):
    process = sleeper()
    write_record(process, owner, host)
    temporary_server.end_orphaned_servers()
    assert (process.poll() is not None) == ended
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"host": "a", "owner": 5, "server": "1 a"}',
        '{"host": "HERE", "owner": "", "server": "x"}',
    ],
)
def test_a_damaged_record_is_removed(content):
    record = temporary_server._records() / "1.json"
    record.parent.mkdir(parents=True)
    record.write_text(content.replace("HERE", socket.gethostname()))
    temporary_server.end_orphaned_servers()
    assert not record.exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [(["true"], "has ended; the reason is in"), (["sleep", "60"], "Run the same command again")],
    ids=["ends at once", "never answers"],
)
def test_a_server_that_does_not_start_is_a_user_error(command, sentence, monkeypatch):
    monkeypatch.setattr(temporary_server, "STARTUP_SECONDS", 0.5)
    monkeypatch.setattr(temporary_server, "_start", lambda *_: subprocess.Popen(command))
    with pytest.raises(UserError, match=sentence):
        temporary_server.temporary_server(lambda: None).__enter__()
    assert not any(temporary_server._records().iterdir())


def test_a_server_ends_where_the_run_cannot_be_prepared(monkeypatch):
    server = sleeper()
    monkeypatch.setattr(temporary_server, "_start", lambda *_: server)
    with pytest.raises(ZeroDivisionError):
        temporary_server.temporary_server(lambda: 1 / 0).__enter__()
    assert server.poll() is not None
    assert not any(temporary_server._records().iterdir())


@pytest.mark.parametrize("through", ["proxy", "direct"])
def test_the_wait_for_a_server_uses_no_proxy_and_pauses(through, monkeypatch):
    requests = list[str]()
    process = sleeper()
    monkeypatch.setattr(temporary_server, "STARTUP_SECONDS", 0.5)
    with recording_server(200 if through == "proxy" else 503, requests) as address:
        monkeypatch.setenv("http_proxy", address)
        target = f"http://127.0.0.1:{free_port()}" if through == "proxy" else address
        with pytest.raises(UserError, match="did not respond within"):
            temporary_server._wait_for(target, process)
    process.kill()
    process.wait()
    assert len(requests) == 0 if through == "proxy" else 0 < len(requests) <= 6
