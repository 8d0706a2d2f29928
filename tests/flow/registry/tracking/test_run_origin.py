"""User, command and commit of a run, as MLflow's pages show them."""

import getpass
import os

from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)

from tasks.registry.tracking import run_origin
from tasks.registry.tracking.run_origin import origin_tags


def test_a_run_names_its_user_and_command():
    tags = origin_tags("train")
    assert tags[MLFLOW_USER] == getpass.getuser()
    assert tags[MLFLOW_SOURCE_NAME] == "movie-recommender train"


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def no_entry() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", no_entry)
    assert origin_tags("train")[MLFLOW_USER] == str(os.getuid())


def test_the_commit_is_that_of_the_code(tmp_path, monkeypatch):
    from git import Actor, Repo

    package = tmp_path / "tasks"
    package.mkdir()
    monkeypatch.setattr(run_origin, "CODE", package)
    assert MLFLOW_GIT_COMMIT not in origin_tags("train")
    repository = Repo.init(tmp_path)
    author = Actor("A", "a@example.org")
    commit = repository.index.commit("first", author=author, committer=author)
    assert origin_tags("train")[MLFLOW_GIT_COMMIT] == commit.hexsha
