"""Nothing that the project defines appears, changes or disappears unseen.

Each file in `definitions/` states one kind of definitions, and was reviewed as it is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.definitions import prefect_definitions, public_names
from tests.support.definitions.cache_keys import cache_keys
from tests.support.definitions.snapshots import require_reviewed

FOLDER = Path(__file__).parent / "definitions"
DEFINITIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "api": public_names.api,
    "automations": prefect_definitions.automations,
    "cache_keys": cache_keys,
    "deployments": prefect_definitions.deployments,
    "flows": prefect_definitions.flows,
    "prefect_artifacts": prefect_definitions.artifacts,
    "registered_model": public_names.registered_model,
    "settings": public_names.settings,
    "tables": public_names.tables,
    "tasks": prefect_definitions.tasks,
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_are_those_that_were_reviewed(name: str) -> None:
    require_reviewed(FOLDER / f"{name}.yaml", DEFINITIONS[name]())


def test_every_reviewed_file_is_compared() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(DEFINITIONS)
