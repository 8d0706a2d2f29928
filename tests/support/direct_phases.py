"""Runs the phases of `train` that build models in this thread, without Prefect and MLflow."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import Task
from prefect.artifacts import Artifact
from prefect.logging import disable_run_logger
from prefect.states import Completed, State
from prefect.utilities.annotations import unmapped

from flows.config import TrainConfig
from flows.phases.documents import prepare_documents
from flows.phases.embeddings import train_embeddings
from flows.phases.genres import train_classifier
from flows.phases.recommender import build_recommender
from tasks.core.contracts import RunRef
from tasks.core.orchestration import progress
from tasks.core.storage import store
from tests.conftest import blank_figures

RUN = RunRef(run_id="direct", experiment_id="1", tracking_uri="")
NEEDS_MLFLOW = {"track-source", "check-drift"}
#: Tasks that only show or publish what others have made.
DRAWING = {"draw-map", "draw-genres"}
WITHOUT_LISTS = DRAWING | {"build-index", "evaluate-lists"}
WITHOUT_SCORES = WITHOUT_LISTS | {"evaluate"}


@dataclass(frozen=True)
class FinishedTask:
    """The future of a task that has run."""

    value: Any

    def result(self) -> Any:
        return self.value

    @property
    def state(self) -> State:
        return Completed()


def value_of(argument: Any) -> Any:
    """An argument of a task, with the results of futures in their place."""
    if isinstance(argument, list):
        return [value_of(item) for item in argument]
    return argument.result() if isinstance(argument, FinishedTask) else argument


def map_chunks(task: Task[..., Any], chunks: Any, *args: Any) -> list[FinishedTask]:
    """A task for each chunk; other arguments are one for each chunk too, or unmapped."""
    columns = [
        [argument.value] * len(chunks) if isinstance(argument, unmapped) else argument
        for argument in args
    ]
    return [task.submit(*values) for values in zip(chunks, *columns, strict=True)]


@contextmanager
def direct_tasks(skipped: Collection[str] = ()) -> Iterator[None]:
    """Tasks run where they are called or submitted, those of `skipped` not at all.

    Their artifacts are not shown, their figures are blank.
    """

    def call(task: Task[..., Any], *args: Any, **kwargs: Any) -> Any:
        if task.name in NEEDS_MLFLOW.union(skipped):
            return None
        values = {name: value_of(argument) for name, argument in kwargs.items()}
        return task.fn(*map(value_of, args), **values)

    with pytest.MonkeyPatch.context() as patch, disable_run_logger(), blank_figures():
        patch.setattr(Task, "__call__", call)
        patch.setattr(Task, "submit", lambda *args, **kwargs: FinishedTask(call(*args, **kwargs)))
        patch.setattr(Task, "map", map_chunks)
        patch.setattr(Artifact, "create", lambda *_, **__: SimpleNamespace(id=None))
        patch.setattr(progress, "as_completed", list)
        yield


def build_models(config: TrainConfig, skipped: Collection[str] = ()) -> dict[str, float]:
    """All phases of `train` before the comparison with the champion; returns the scores."""
    with direct_tasks(skipped):
        data = prepare_documents(config, RUN)
        embeddings = train_embeddings(config, data)
        genres = train_classifier(config, data, embeddings)
        recommender = build_recommender(config, RUN, data, embeddings, genres)
    folders = [store.locate(part.result()) for part in recommender.scores if part.result()]
    scores: dict[str, float] = {}
    for folder in folders:
        scores |= store.read_json(folder / "metrics.json")
    return scores
