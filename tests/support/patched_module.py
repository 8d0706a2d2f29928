"""Functions of the standard library that one module alone sees changed.

Changed for the whole process, a clock or a file's access would be that of Prefect's threads, too,
which go on between tests.
"""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def patch_import(
    monkeypatch: pytest.MonkeyPatch, importer: ModuleType, imported: str, **changed: Any
) -> None:
    """Let `importer` see other members of a module that it imports by its name."""
    members = vars(getattr(importer, imported)) | changed
    monkeypatch.setattr(importer, imported, SimpleNamespace(**members))
