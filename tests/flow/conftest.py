"""Fixtures of all tests of flows."""

from collections.abc import Iterator

import pytest

from tasks.core.storage import run_locks
from tests.support.trained_root import (  # noqa: F401 - fixtures
    copied_root,
    mlflow_database,
    module_root,
    ready_made_database,
    shared_folder,
    shared_training,
    trained_root,
)


@pytest.fixture(scope="session", autouse=True)
def with_ready_made_database(ready_made_database) -> None:  # noqa: F811 - the fixture
    """Every artifacts root begins with the tables of MLflow."""


@pytest.fixture(autouse=True)
def every_run_releases_its_lock() -> Iterator[None]:
    """A run that has ended must not look alive for as long as its process lives."""
    yield
    still_locked = list(run_locks._locks)
    for flow_run in still_locked:
        run_locks.release_run_lock(flow_run)
    assert still_locked == []
