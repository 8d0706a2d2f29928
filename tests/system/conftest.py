"""Fixtures of all tests of the whole system."""

from tests.support.trained_root import (  # noqa: F401 - fixtures
    copied_root,
    mlflow_database,
    module_root,
    ready_made_database,
    shared_folder,
    shared_training,
    trained_root,
)
