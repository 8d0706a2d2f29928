"""Snapshots: YAML files that state what the project defines, reviewed when they change."""

import json
import math
import os
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

UPDATE = "UPDATE_DEFINITIONS"


def require_reviewed(file: Path, definitions: Any) -> None:
    """Fail with a diff if definitions differ from those in a snapshot file.

    With `UPDATE_DEFINITIONS=1` in the environment, the file is rewritten as well.
    """
    reviewed, current = file.read_text() if file.exists() else "", rendered(definitions)
    if reviewed == current:
        return
    name = str(file.relative_to(ROOT))
    diff = unified_diff(
        reviewed.splitlines(), current.splitlines(), f"{name} (reviewed)", "the code", lineterm=""
    )
    if os.environ.get(UPDATE) == "1":
        file.write_text(current)
        advice = f"{name} is rewritten: review its diff."
    else:
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        advice = (
            f"If this is meant, rewrite the file and review its diff:\n"
            f"  {UPDATE}=1 python -m pytest '{test}'"
        )
    pytest.fail("\n".join(["Definitions differ from the reviewed ones.", *diff, advice]), False)


def rendered(definitions: Any) -> str:
    """Definitions as YAML with sorted names, one entry a line."""
    plain = json.loads(json.dumps(definitions, default=as_plain))
    return yaml.safe_dump(plain, allow_unicode=True, default_flow_style=False, width=math.inf)


def as_plain(value: Any) -> Any:
    """A value that JSON has no type for: sets are sorted, all else is shown as text."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
