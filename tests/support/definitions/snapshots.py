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

    With `UPDATE_DEFINITIONS=1` in the environment, rewrite the file and skip the test.
    """
    reviewed, current = file.read_text() if file.exists() else "", rendered(definitions)
    if reviewed == current:
        return
    if os.environ.get(UPDATE) == "1":
        file.write_text(current)
        pytest.skip(f"{file.name} is rewritten: review its diff")
    names = (f"{file.relative_to(ROOT)} (reviewed)", "the project")
    diff = unified_diff(reviewed.splitlines(), current.splitlines(), *names, lineterm="")
    lines = ["The project's definitions differ from the reviewed ones.", *diff, advice(file)]
    pytest.fail("\n".join(lines), pytrace=False)


def advice(file: Path) -> str:
    """The command that rewrites a snapshot file."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    command = f"{UPDATE}=1 .venv/bin/python -m pytest '{test}'"
    return f"If that is meant, rewrite {file.name} and review its diff:\n  {command}"


def rendered(definitions: Any) -> str:
    """Definitions as YAML with sorted names, one entry a line."""
    plain = json.loads(json.dumps(definitions, default=as_plain))
    return str(yaml.safe_dump(plain, allow_unicode=True, default_flow_style=False, width=math.inf))


def as_plain(value: Any) -> Any:
    """A value that JSON has no type for: sets are sorted, all else is shown as text."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
