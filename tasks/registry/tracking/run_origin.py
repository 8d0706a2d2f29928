"""Who and what started a run -> the tags that MLflow's pages show as User, Source and Version."""

import getpass
import logging
import os
from pathlib import Path

from mlflow.utils.git_utils import get_git_commit
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

CODE = Path(__file__).parents[2]  # the package `tasks`


def origin_tags(flow_name: str) -> dict[str, str]:
    """User, command and, in a Git checkout, the commit of a run."""
    tags = {
        MLFLOW_USER: user_name(),
        MLFLOW_SOURCE_NAME: f"movie-recommender {flow_name}",
        MLFLOW_SOURCE_TYPE: "JOB",
    }
    logging.getLogger("mlflow.utils.git_utils").setLevel(logging.ERROR)  # Git is not required
    commit = get_git_commit(str(CODE))
    return tags | ({MLFLOW_GIT_COMMIT: commit} if commit else {})


def user_name() -> str:
    """Login name; the number of a user without one, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
