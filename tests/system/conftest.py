"""Fixtures of all tests of the whole system."""

from tests.support.demo_page import demo_address, open_demo  # noqa: F401 - fixtures
from tests.support.published_catalogue import demo_champion, demo_index  # noqa: F401 - fixtures
from tests.support.trained_root import (  # noqa: F401 - fixtures
    copied_root,
    mlflow_database,
    module_root,
    ready_made_database,
    shared_folder,
    shared_training,
    trained_root,
)
