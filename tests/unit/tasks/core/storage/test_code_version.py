"""A stage is computed again after any change of its code, of a helper's, or of a library."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.storage import code_version as module
from tasks.core.storage.code_version import (
    code_version,
    imported_files,
    imported_names,
    library_versions,
)
from tests.support.definitions.modules import calls

STAGES = sorted({stage.__name__ for stage, _, _ in calls("get_or_create")})


@pytest.fixture(scope="module")
def copy_of_project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for package in module.PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(module.PROJECT / package, folder / package, ignore=ignored)
    return folder


@pytest.fixture
def copied_project(copy_of_project, monkeypatch) -> Path:
    """A copy of the project's code, of which versions are computed."""
    monkeypatch.setattr(module, "PROJECT", copy_of_project)
    return copy_of_project


def version_now(stage: str) -> str:
    """The version in a new process; what files import is not changed by these tests."""
    code_version.cache_clear()
    module._file_digest.cache_clear()
    return code_version(stage)


@pytest.fixture(autouse=True)
def forget_versions():
    yield
    code_version.cache_clear()
    module._file_digest.cache_clear()


@pytest.mark.parametrize("stage", STAGES)
def test_a_change_of_the_stage_or_of_any_helper_changes_its_version(stage, copied_project):
    before = version_now(stage)
    unseen = []
    for name, file in imported_files(stage).items():
        code = file.read_text()
        file.write_text(f"{code}\nADDED = 1\n")
        if version_now(stage) == before:
            unseen.append(name)
        file.write_text(code)
    assert not unseen
    assert version_now(stage) == before


@pytest.mark.parametrize("stage", STAGES)
def test_another_release_of_any_library_changes_the_version_of_a_stage(stage, monkeypatch):
    before, libraries = version_now(stage), library_versions(imported_files(stage))
    unseen = []
    for library in libraries:
        changed = libraries | {library: "another"}
        monkeypatch.setattr(module, "_installed_version", changed.get)
        code_version.cache_clear()
        if code_version(stage) == before:
            unseen.append(library)
        monkeypatch.undo()
    assert libraries
    assert not unseen


def test_a_module_that_a_stage_does_not_import_leaves_its_version(copied_project):
    before = version_now("tasks.data.labels")
    training_before = version_now("tasks.embedding.training")
    file = copied_project / "tasks" / "embedding" / "training.py"
    code = file.read_text()
    file.write_text(f"{code}\nADDED = 1\n")
    versions = version_now("tasks.data.labels"), version_now("tasks.embedding.training")
    file.write_text(code)
    assert versions[0] == before
    assert versions[1] != training_before


def test_every_module_that_python_loads_for_a_stage_counts():
    """The oracle is Python itself, in a fresh process; functions may import more."""
    program = (
        "import importlib, json, sys\n"
        f"for stage in {STAGES}:\n"
        "    importlib.import_module(stage)\n"
        "print(json.dumps([name for name in sys.modules if name.split('.')[0] == 'tasks']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded <= set().union(*(imported_files(stage) for stage in STAGES))


def test_imports_inside_functions_count(tmp_path):
    file = tmp_path / "stage.py"
    file.write_text(
        "def fit():\n    from tasks.genres.network.modules import GenreNetwork\n    import torch\n"
    )
    assert imported_names(file) == {
        *("tasks", "tasks.genres", "tasks.genres.network", "tasks.genres.network.modules"),
        "tasks.genres.network.modules.GenreNetwork",
        "torch",
    }
    assert "tasks.genres.network.modules" in imported_files("tasks.genres.classifier")
    assert "torch" in library_versions(imported_files("tasks.genres.classifier"))


@pytest.mark.parametrize(
    ("stage", "library"),
    [
        ("tasks.embedding.training", "gensim"),
        ("tasks.data.preprocess", "nltk"),
        ("tasks.genres.evaluation.baselines", "sklearn"),
        ("tasks.recommend.features.index_features", "numpy"),
        ("flows.train", "lancedb"),
    ],
)
def test_the_version_of_a_library_is_the_installed_one(stage, library):
    versions = library_versions(imported_files(stage))
    assert versions[library][0].isdigit()
    assert not versions.keys() & {"tasks", "flows", "json", "pathlib"}


def test_code_at_another_place_has_the_same_version(copied_project):
    elsewhere = version_now("tasks.data.labels")
    module.PROJECT = Path(module.__file__).parents[3]
    assert version_now("tasks.data.labels") == elsewhere
