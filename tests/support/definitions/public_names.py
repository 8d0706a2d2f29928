"""Names that users and other programs rely on: settings, columns, model, API."""

import inspect
import json
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from app.main import create_app
from flows.config import NOT_TRAINING_SETTINGS, PRESETS
from flows.runtime.parameters import FlowParameters
from tasks.core.contracts import IndexRef
from tasks.core.strict_config import StrictConfig
from tasks.recommend.scoring import RankConfig
from tasks.registry.aliases import PREVIOUS
from tasks.registry.champion import FORMAT, Champion, to_tags
from tasks.registry.model_registry import CHAMPION, MODEL, pack_tags, unpack_tags
from tasks.registry.tracking.mlflow_client import EXPERIMENT
from tasks.registry.tracking.model_signature import SIGNATURE
from tests.support.definitions.modules import members, modules


def settings() -> dict[str, Any]:
    """Fields of every config, the presets, and the settings outside of the fingerprint."""
    configs = {name: kind for name, kind in members(type).items() if issubclass(kind, StrictConfig)}
    return {
        "configs": {name: fields(config) for name, config in configs.items()},
        "presets": PRESETS,
        "not in the fingerprint": sorted(NOT_TRAINING_SETTINGS),
    }


def fields(config: type[StrictConfig]) -> dict[str, Any]:
    """Every field of a config, and which of them Prefect's form shows."""
    definitions: dict[str, Any] = {
        name: field_definition(field) for name, field in config.model_fields.items()
    }
    if issubclass(config, FlowParameters) and config is not FlowParameters:
        definitions["(form)"] = [*config.form_fields, *["overrides"] * config.has_overrides]
    return definitions


def field_definition(field: FieldInfo) -> str:
    """Type, default, bounds and other name of a field, as in `int = 10, Ge(ge=1)`."""
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = f"{type(default).__name__}({default.model_dump(exclude_unset=True) or ''})"
    definition = type_text(field.annotation)
    definition += "" if field.is_required() else f" = {default}"
    bounds = [item.__name__ if isinstance(item, type) else str(item) for item in field.metadata]
    alias = field.validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [alias] * (alias is not None)
    return ", ".join([definition, *bounds, *(f"named {name}" for name in names)])


def type_text(annotation: Any) -> str:
    """A type as it is written, without modules; equal in all versions of Python."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " | ".join(map(type_text, arguments))
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if arguments:
        return f"{origin.__name__}[{', '.join(map(type_text, arguments))}]"
    return {NoneType: "None", ...: "..."}.get(annotation) or str(annotation.__name__)


def tables() -> dict[str, Any]:
    """Columns and types of every table schema."""
    return {
        f"{module.__name__}.{name}": {column.name: str(column.type) for column in schema}
        for module in modules()
        for name, schema in vars(module).items()
        if isinstance(schema, pa.Schema) and f"\n{name} = " in inspect.getsource(module)
    }


def registered_model() -> dict[str, Any]:
    """Names and tags in the registry, inputs and outputs of the model."""
    version = Champion(index=IndexRef(uri="", tag=""), rank=RankConfig(), run_id="")
    return {
        "experiment": EXPERIMENT,
        "model": MODEL,
        "aliases": [CHAMPION, PREVIOUS],
        "format": FORMAT,
        "tags": sorted(pack_tags(to_tags(version))),
        "packed tags": sorted(unpack_tags(pack_tags(to_tags(version)))),
        "signature": {name: json.loads(part) for name, part in SIGNATURE.to_dict().items()},
    }


def api() -> dict[str, Any]:
    """Parameters of every path of the demo's API."""
    return {
        f"{method.upper()} {path}": {
            parameter["name"]: parameter["schema"] | {"required": parameter["required"]}
            for parameter in operation.get("parameters", [])
        }
        for path, operations in create_app().openapi()["paths"].items()
        for method, operation in operations.items()
    }
