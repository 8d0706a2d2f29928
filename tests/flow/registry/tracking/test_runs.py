import time
from types import SimpleNamespace

import mlflow
import pytest

from tasks.core.storage.run_locks import hold_run_lock, is_running, release_run_lock
from tasks.registry.model_registry import FLOW_RUN_TAG
from tasks.registry.tracking import runs
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.runs import (
    close_dead_runs,
    fail_run,
    flatten_settings,
    open_run,
)
from tests.support.patched_module import patch_import


def status_of(client: mlflow.MlflowClient, run_id: str) -> str:
    return str(client.get_run(run_id).info.status)


def test_nested_settings_become_dotted_params():
    assert flatten_settings({"a": 1, "b": {"c": None, "d": {"e": [1]}}}) == {
        "a": "1",
        "b.c": "None",
        "b.d.e": "[1]",
    }


def test_only_the_runs_of_the_failed_flow_run_are_closed(artifacts):
    client = connect()
    experiment = experiment_id(client)
    failed, running, killed = (
        client.create_run(experiment, tags={FLOW_RUN_TAG: flow_run}).info.run_id
        for flow_run in ("failed", "running", "killed")
    )
    hold_run_lock("failed")
    fail_run("failed")
    fail_run("killed", "KILLED")
    assert is_running("failed") is False
    assert status_of(client, failed) == "FAILED"
    assert status_of(client, running) == "RUNNING"
    assert status_of(client, killed) == "KILLED"


def test_a_run_that_another_process_runs_is_not_closed(artifacts, monkeypatch):
    """A retry of it, which is refused, has the same flow run."""
    client = connect()
    tags = {FLOW_RUN_TAG: "alive"}
    run_id = client.create_run(experiment_id(client), tags=tags).info.run_id
    monkeypatch.setattr("tasks.registry.tracking.runs.is_running", lambda run: run == "alive")
    fail_run("alive")
    assert status_of(client, run_id) == "RUNNING"


def test_runs_whose_process_has_died_are_closed(artifacts):
    """A run without a lock is another root's, or another program's."""
    client = connect()
    experiment = experiment_id(client)
    alive, dead, elsewhere, of_a_user = (
        client.create_run(experiment, tags=tags).info.run_id
        for tags in (*({FLOW_RUN_TAG: name} for name in ("alive", "dead", "elsewhere")), {})
    )
    hold_run_lock("alive")
    hold_run_lock("dead")
    release_run_lock("dead")
    close_dead_runs(client, experiment)
    assert status_of(client, dead) == "KILLED"
    assert {status_of(client, run) for run in (alive, elsewhere, of_a_user)} == {"RUNNING"}
    release_run_lock("alive")


def test_a_run_that_opens_closes_those_whose_process_has_died(artifacts, monkeypatch):
    client = connect()
    monitor = SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(runs, "SystemMetricsMonitor", lambda *_, **__: monitor)
    tags = {FLOW_RUN_TAG: "dead"}
    dead = client.create_run(experiment_id(client), tags=tags).info.run_id
    hold_run_lock("dead")
    release_run_lock("dead")
    opened = client.get_run(open_run({}, {}).run_id)
    release_run_lock(opened.data.tags[FLOW_RUN_TAG])
    assert opened.info.status == "RUNNING"
    assert status_of(client, dead) == "KILLED"


@pytest.mark.parametrize(("days", "status"), [(2, "RUNNING"), (5, "KILLED")])
def test_a_run_of_another_root_is_closed_when_it_is_too_old_to_run(artifacts, days, status):
    client = connect()
    experiment = experiment_id(client)
    start = int((time.time() - days * 24 * 3600) * 1000)
    tags = {FLOW_RUN_TAG: "elsewhere"}
    run_id = client.create_run(experiment, start_time=start, tags=tags).info.run_id
    close_dead_runs(client, experiment)
    assert status_of(client, run_id) == status


@pytest.mark.parametrize("days", [-2, 2])
def test_a_clock_that_is_set_closes_no_run(artifacts, monkeypatch, days):
    client = connect()
    experiment = experiment_id(client)
    hold_run_lock("alive")
    run_id = client.create_run(experiment, tags={FLOW_RUN_TAG: "alive"}).info.run_id
    other_id = client.create_run(experiment, tags={FLOW_RUN_TAG: "elsewhere"}).info.run_id
    now = time.time() + days * 24 * 3600
    patch_import(monkeypatch, runs, "time", time=lambda: now)
    close_dead_runs(client, experiment)
    assert {status_of(client, run) for run in (run_id, other_id)} == {"RUNNING"}
    release_run_lock("alive")


def test_a_run_whose_process_dies_while_it_opens_is_closed(artifacts, monkeypatch):
    client = connect()
    experiment = experiment_id(client)
    monkeypatch.setattr("mlflow.MlflowClient.log_batch", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_run({}, {})
    close_dead_runs(client, experiment)
    (run,) = client.search_runs([experiment])
    assert run.info.status == "RUNNING"
    release_run_lock(run.data.tags[FLOW_RUN_TAG])
    close_dead_runs(client, experiment)
    assert status_of(client, run.info.run_id) == "KILLED"
