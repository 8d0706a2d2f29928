"""Fixtures of all tests of flows."""

import pytest

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
