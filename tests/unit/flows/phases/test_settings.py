"""Every task of a training gets the settings of the run, not those of a default."""

import inspect
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, get_type_hints

import pytest
from prefect import Task
from pydantic import BaseModel

from flows.config import TrainConfig
from flows.phases import documents
from flows.phases.documents import prepare_documents
from flows.phases.embeddings import train_embeddings
from flows.phases.genres import train_classifier
from flows.phases.publishing import describe_version
from flows.phases.recommender import build_recommender
from tasks.core.contracts import IndexRef, RunRef
from tasks.data.ingest import IngestConfig
from tests.support.changed_values import changed_value

Settings = TypeVar("Settings", bound=BaseModel)
RUN = RunRef(run_id="run", experiment_id="1", tracking_uri="")


class Submitted(NamedTuple):
    """A task and its arguments by name."""

    task: str
    arguments: dict[str, Any]
    types: dict[str, Any]


def all_changed(model: Settings) -> Settings:
    """The same settings, each with another value."""
    values = {name: getattr(model, name) for name in type(model).model_fields}
    fields = type(model).model_fields
    changed = {
        name: all_changed(value)
        if isinstance(value, BaseModel)
        else changed_value(value, fields[name])
        for name, value in values.items()
    }
    return model.model_copy(update=changed)


@pytest.fixture(params=[True, False], ids=["ensemble", "network"])
def config(request: pytest.FixtureRequest) -> TrainConfig:
    """Settings none of which is that of a default, but for the kind of classifier."""
    config = all_changed(TrainConfig())
    config = config.model_copy(update={"source": "movies.csv", "ingest": IngestConfig()})
    classifier = config.classifier.model_copy(update={"linear": request.param})
    return config.model_copy(update={"classifier": classifier})


@pytest.fixture
def submitted(config, monkeypatch) -> list[Submitted]:
    """The tasks that a training submits, in their order."""
    tasks = list[Submitted]()

    def submit(task: Task[..., Any], *values: Any, **named: Any) -> Any:
        arguments = inspect.signature(task.fn).bind(*values, **named).arguments
        tasks.append(Submitted(task.name, dict(arguments), get_type_hints(task.fn)))
        return SimpleNamespace(task=task.name)

    source = SimpleNamespace(
        ingested=SimpleNamespace(chunks=[1]), splits=SimpleNamespace(chunks=[1])
    )
    monkeypatch.setattr(documents, "read_source", lambda *_: source)
    monkeypatch.setattr(documents, "find_ratings", lambda source: f"ratings of {source}")
    monkeypatch.setattr(documents, "find_known_items", lambda source: f"lists of {source}")
    monkeypatch.setattr(Task, "submit", submit)
    data = prepare_documents(config, RUN)
    embeddings = train_embeddings(config, data)
    genres = train_classifier(config, data, embeddings)
    build_recommender(config, RUN, data, embeddings, genres)
    return tasks


def test_every_stage_gets_the_settings_of_the_run(config, submitted):
    stages = {type(value): value for _, value in config if isinstance(value, BaseModel)}
    received = [
        (task.task, name, value, stages[task.types[name]])
        for task in submitted
        for name, value in task.arguments.items()
        if task.types[name] in stages
    ]
    assert {task for task, *_ in received} >= {
        *("preprocess", "check-documents", "fit-doc2vec", "label", "fit-linear", "fit-network"),
        *("build-index", "evaluate-lists", "baselines"),
    }
    assert [(task, name) for task, name, value, expected in received if value != expected] == []
    ensembles = [task for task, *_ in received if task == "fit-ensemble"]
    assert len(ensembles) == config.classifier.linear


def test_lists_are_judged_by_the_files_beside_the_source(submitted):
    (lists,) = (task for task in submitted if task.task == "evaluate-lists")
    assert lists.arguments["ratings"] == "ratings of movies.csv"
    assert lists.arguments["known_items"] == "lists of movies.csv"


def test_rare_genres_weigh_as_much_in_the_linear_model_as_in_the_network(config, submitted):
    (linear,) = (task for task in submitted if task.task == "fit-linear")
    assert linear.arguments["positive_power"] == config.classifier.positive_weight


@pytest.mark.parametrize("config", [True], indirect=True)
def test_a_version_records_its_settings_of_lists_and_index(config, monkeypatch):
    monkeypatch.setattr("flows.phases.publishing.fingerprint_of", lambda *_: "")
    recommender: Any = SimpleNamespace(
        index=SimpleNamespace(result=lambda: IndexRef(uri="u", tag="t")),
        folders=lambda: SimpleNamespace(digests=tuple),
    )
    data: Any = SimpleNamespace(ingested=SimpleNamespace(digest="digest"))
    version = describe_version(config, RUN, data, recommender)
    assert version.index_config == config.index.model_dump_json()
    assert (version.rank, version.source) == (config.rank, "digest")
