import gc

import pytest

from flows.cli.subcommands import train
from tasks.core.contracts import RegistryError


@pytest.mark.parametrize("error", [None, RegistryError("no answer")])
def test_an_unreachable_mlflow_is_left_to_the_flow_which_records_it(error, monkeypatch):
    connected = []

    def connect() -> None:
        connected.append(gc.isenabled())
        if error:
            raise error

    monkeypatch.setattr("tasks.registry.tracking.mlflow_client.connect", connect)
    train.prepare()
    assert (connected, gc.isenabled()) == ([False], True)


def test_other_errors_are_not_hidden(monkeypatch):
    monkeypatch.setattr("tasks.registry.tracking.mlflow_client.connect", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train.prepare()
