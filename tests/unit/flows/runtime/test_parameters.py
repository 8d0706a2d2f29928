"""What Prefect's form, prefect.yaml, the API and the command line may say, and what they mean."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml
from prefect.flows import Flow
from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from prefect.utilities.schema_tools.validation import validate
from pydantic import BaseModel, ValidationError

import app
import flows
import tasks
from flows.batch import batch
from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.refresh import RefreshConfig, refresh
from flows.release import release
from flows.train import train
from tasks.core.contracts import IndexRef
from tasks.core.storage import store
from tasks.embedding.config import Doc2VecConfig, load_config
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion, from_tags, to_tags
from tests.conftest import ROOT

FLOWS: list[Flow[..., Any]] = [train, refresh, batch, release]
FORMS = {
    "train": [
        *("source", "preset", "refresh", "skip_unchanged", "deterministic", "notify"),
        "overrides",
    ],
    "refresh": ["file", "into", "notify", "overrides"],
    "batch": ["file", "limit", "output"],
    "release": ["action", "versions"],
}


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(module.name)


def models() -> set[type[BaseModel]]:
    """All models that the modules of the project define."""
    return {
        value
        for package in (flows, tasks, app)
        for module in modules(package)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
    }


def nested(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A config and the configs of its stages."""
    fields = [field.annotation for field in model.model_fields.values()]
    stages = [field for field in fields if isinstance(field, type) and issubclass(field, BaseModel)]
    return {model}.union(*(nested(stage) for stage in stages))


CONFIGS = sorted(
    set().union(*(nested(model) for model in models() if model.__name__.endswith("Config"))),
    key=lambda model: model.__name__,
)


def test_configs_are_there_to_be_tested():
    names = {model.__name__ for model in CONFIGS}
    assert names > {"TrainConfig", "Columns", "RankConfig", "RefreshConfig", "StackConfig"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_config_refuses_unknown_settings_and_does_not_quote_them(config):
    with pytest.raises(ValidationError) as caught:
        config.model_validate({"unknown_setting": "https://alice:s3cr3t@host"})
    kinds = [(error["type"], error["loc"]) for error in caught.value.errors()]
    assert ("extra_forbidden", ("unknown_setting",)) in kinds
    assert "s3cr3t" not in str(caught.value)


def form_of(flow: Flow[..., Any]) -> dict[str, Any]:
    """The schema of `config`, as Prefect stores it for a deployment and draws its form."""
    schema = flow.parameters.model_dump()
    name = schema["properties"]["config"]["$ref"].rsplit("/", 1)[-1]
    form: dict[str, Any] = schema["definitions"][name]
    return form


def posted(flow: Flow[..., Any], **changes: Any) -> dict[str, Any]:
    """What the form posts, as the server reads it: the defaults as explicit values, and changes."""
    fields = form_of(flow)["properties"]
    values = {name: field["default"] for name, field in fields.items() if "default" in field}
    untouched = {"overrides": {"__prefect_kind": "json"}} if "overrides" in fields else {}
    posted: dict[str, Any] = hydrate(values | untouched | changes, HydrationContext())
    return posted


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_forms_are_short(flow):
    assert list(form_of(flow)["properties"]) == FORMS[flow.name]


@pytest.mark.parametrize("preset", ["default", "blog", "blog-tuned"])
def test_a_preset_chosen_in_the_form_is_what_runs(preset):
    parameters = {"config": posted(train, preset=preset)}
    validate(parameters, train.parameters.model_dump(), raise_on_error=True)
    config = TrainConfig.model_validate(parameters["config"])
    assert config == TrainConfig(preset=preset)
    assert config.explicit_settings == {"preset": preset}


@pytest.mark.parametrize(
    "overrides",
    [
        {
            "doc2vec": {"epochs": 3},
            "ingest": {"columns": {"title": "name"}},
            "retention": {"cache_gb": 5},
        },
        {"doc2vec.epochs": 3, "ingest.columns.title": "name", "retention.cache_gb": 5},
        {"doc2vec.epochs": 3, "ingest": {"columns.title": "name"}, "retention.cache_gb": 5.0},
    ],
)
def test_overrides_of_the_form_beat_the_preset(overrides):
    config = TrainConfig.model_validate(posted(train, preset="blog", overrides=overrides))
    assert (config.doc2vec.epochs, config.doc2vec.restarts, config.retention.cache_gb) == (3, 10, 5)
    assert config.ingest.columns.title == "name"


def test_overrides_are_the_settings_that_they_name():
    direct = TrainConfig.model_validate({"doc2vec": {"seed": 7}})
    override = TrainConfig.model_validate({"overrides": {"doc2vec.seed": 7}})
    assert direct == override
    assert (direct.training_settings, direct.explicit_settings) == (
        override.training_settings,
        override.explicit_settings,
    )
    merged = TrainConfig.model_validate(
        {"doc2vec": Doc2VecConfig(epochs=3), "overrides": {"doc2vec.seed": 7}}
    )
    assert (merged.doc2vec.epochs, merged.doc2vec.seed) == (3, 7)


def test_overrides_of_a_refresh():
    fields = posted(refresh, file="a.csv", overrides={"ingest.columns.title": "name"})
    assert RefreshConfig.model_validate(fields).ingest.columns.title == "name"


WRONG = [
    {"sourc": ["sample"]},
    {"doc2vec": {"epoch": 1}},
    {"doc2vec.seed": 7},
    {"ingest": {"columns": {"titel": "name"}}},
    {"preset": "blok"},
    {"overrides": [1]},
    {"overrides": {"doc2vec.epoch": 1}},
    {"overrides": {"doc2vec": 3}},
    {"overrides": {"sourc": 1}},
    {"overrides": {"overrides": {}}},
    {"overrides": {"doc2vec": 5, "doc2vec.seed": 7}},
    {"overrides": {"doc2vec.seed": 7, "doc2vec": {"seed": 8}}},
    {"overrides": {"ingest.columns.title": "a", "ingest": {"columns.title": "b"}}},
    {"preset": "blog", "overrides": {"doc2vec": None}},
    {"preset": "blog", "doc2vec": 0},
    {"preset": ["blog"]},
]


@pytest.mark.parametrize("config", WRONG, ids=str)
def test_a_misspelt_parameter_is_refused(config):
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(config)


@pytest.mark.parametrize("config", WRONG[:6], ids=str)
def test_the_api_refuses_a_misspelt_parameter_before_a_run_is_made(config):
    with pytest.raises(SchemaError):
        validate({"config": config}, train.parameters.model_dump(), raise_on_error=True)


@pytest.mark.parametrize(
    "config",
    [
        {"source": ["sample"], "doc2vec": {"epochs": 1}},
        {"source": ["a.csv"], "notify": None, "retention": {"cache_gb": 5}, "overrides": None},
        TrainConfig(preset="blog", deterministic=True).model_dump(mode="json"),
    ],
    ids=["nested", "nulls", "whole"],
)
def test_the_api_takes_stage_settings_nested(config):
    validate({"config": config}, train.parameters.model_dump(), raise_on_error=True)
    TrainConfig.model_validate(config)


def deployments() -> list[dict[str, Any]]:
    prefect = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    return list(prefect["deployments"])


@pytest.mark.parametrize("deployment", deployments(), ids=lambda deployment: deployment["name"])
def test_parameters_of_deployments_are_fields_of_their_forms(deployment):
    name = deployment["entrypoint"].split(":")[1]
    (flow,) = (flow for flow in FLOWS if flow.name == name)
    validate(deployment["parameters"], flow.parameters.model_dump(), raise_on_error=True)
    assert set(deployment["parameters"]["config"]) <= set(FORMS[flow.name])


@pytest.mark.parametrize("arguments", [["--sourc", "a"], ["--doc2vec.epoch=1"], ["--overrides={}"]])
def test_an_unknown_flag_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(TrainConfig, "train", arguments)
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_stored_configs_may_have_settings_that_are_gone(tmp_path):
    store.write_json(tmp_path / "config.json", {"epochs": 3, "hogwild": True})
    assert load_config(tmp_path) == Doc2VecConfig(epochs=3)
    index = IndexRef(uri="s3://bucket/lancedb", tag="run-1")
    reader = Champion(index=index, rank=RankConfig(words=2), run_id="1")
    tags = to_tags(reader) | {"rank": '{"words": 2, "people": 1}'}
    assert from_tags(tags) == reader
    old = reader.model_dump() | {"rank": {"words": 2, "people": 1}}
    assert Champion.model_validate(old, extra="ignore") == reader
