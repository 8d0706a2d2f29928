import mlflow
import pytest

from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.runs import (
    FLOW_RUN_TAG,
    close_dead_runs,
    fail_run,
    flatten_settings,
    open_run,
    process_tags,
)

DEAD_PROCESS = {"process": "1 another-boot:1"}


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
    fail_run("failed")
    fail_run("killed", "KILLED")
    assert status_of(client, failed) == "FAILED"
    assert status_of(client, running) == "RUNNING"
    assert status_of(client, killed) == "KILLED"


def test_runs_of_dead_processes_of_this_machine_are_closed(artifacts):
    client = connect()
    experiment = experiment_id(client)
    alive, dead, other_host = (
        client.create_run(experiment, tags=process_tags() | tags).info.run_id
        for tags in ({}, DEAD_PROCESS, DEAD_PROCESS | {"host": "another"})
    )
    close_dead_runs(client, experiment)
    assert status_of(client, alive) == "RUNNING"
    assert status_of(client, dead) == "KILLED"
    assert status_of(client, other_host) == "RUNNING"


def test_a_run_whose_process_dies_while_it_opens_is_closed(artifacts, monkeypatch):
    client = connect()
    experiment = experiment_id(client)
    monkeypatch.setattr(
        "tasks.registry.tracking.runs.process_tags", lambda: process_tags() | DEAD_PROCESS
    )
    monkeypatch.setattr("mlflow.MlflowClient.log_batch", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_run.fn({}, {})
    close_dead_runs(client, experiment)
    assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]
