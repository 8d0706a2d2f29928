"""Parameters of a flow in Prefect: a short form, and `overrides` for all other settings.

Prefect's form posts every field as an explicit value, defaults included, and explicit values
override a preset. The form therefore has no field for settings of a preset: `overrides` sets them,
by dotted names or nested, as in `{"doc2vec.seed": 7}` and `{"doc2vec": {"seed": 7}}`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tasks.core.strict_config import StrictConfig

NotifyOn = Literal["failure", "promotion", "end"]
FAILURE, END = "failure", "end"
NOTIFY_ON = "Runs after which `notify` sends a message; failure: failed ones; promotion: also "
NOTIFY_ON += "those that made another version the champion; end: all"
OVERRIDES = "overrides"
OVERRIDES_SCHEMA = {
    "type": "object",
    "title": "Overrides",
    "description": "Any other setting by its name on the command line, "
    'as in {"doc2vec.seed": 7, "retention.cache_gb": 5}; overrides the preset',
}


class FlowParameters(StrictConfig):
    """Settings of a flow. Prefect's form shows the fields in `form_fields`."""

    form_fields: ClassVar[tuple[str, ...]]
    has_overrides: ClassVar[bool] = False

    @property
    def explicit_settings(self) -> dict[str, Any]:
        """The settings that differ from the defaults, by their names on the command line."""
        defaults = type(self).model_construct().model_dump(by_alias=True)
        return differing_values(self.model_dump(by_alias=True), defaults)

    @property
    def clock(self) -> str:
        """Time of day such as `1816`: in their names, it distinguishes runs with equal settings."""
        return f"{datetime.now():%H%M}"

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema from which Prefect draws the form and validates parameters.

        The form shows `properties`. All other fields are in `patternProperties`, so that
        prefect.yaml and the API accept them and still refuse a misspelt name.
        """
        reference = handler(core_schema)
        schema: JsonSchemaValue = handler.resolve_ref_schema(reference)
        fields: dict[str, Any] = schema["properties"]
        shown = {name: _without_null(fields.pop(name)) for name in cls.form_fields}
        schema["properties"] = shown | ({OVERRIDES: OVERRIDES_SCHEMA} if cls.has_overrides else {})
        schema["patternProperties"] = {f"^{re.escape(name)}$": fields[name] for name in fields}
        return reference


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional setting as a single input; Prefect reads an empty one as `null`."""
    alternatives: list[dict[str, Any]] = schema.get("anyOf", [])
    types = [alternative for alternative in alternatives if alternative != {"type": "null"}]
    if len(types) != 1:
        return schema
    keywords = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return keywords | types[0]


def flag_name(setting: str) -> str:
    """A setting as a flag in the documented spelling: `--notify-on` for `notify_on`."""
    return f"--{setting.replace('_', '-')}"


def with_overrides(values: Any) -> Any:
    """Parameters with `overrides` merged into the other settings.

    Raises:
        ValueError: `overrides` is not a mapping, or sets a setting twice.
    """
    if not isinstance(values, Mapping) or OVERRIDES not in values:
        return values
    overrides = values[OVERRIDES] or {}
    if not isinstance(overrides, Mapping):
        raise ValueError('overrides must be a mapping, as in {"doc2vec.seed": 7}')
    settings = {name: value for name, value in values.items() if name != OVERRIDES}
    return _override(settings, _nest(overrides))


def explicit_values(value: Any) -> Any:
    """Settings of a stage as a mapping; of a config object, only the fields that were set."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with dotted names, in either spelling, as nested mappings.

    Raises:
        ValueError: a setting is set twice.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        branch = _nest(value) if isinstance(value, Mapping) else value
        for part in reversed(str(name).replace("-", "_").split(".")):
            branch = {part: branch}
        nested = _merge_disjoint(nested, branch)
    return nested


def _merge_disjoint(
    values: Mapping[str, Any], others: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """Merge nested mappings that have no setting in common.

    Raises:
        ValueError: they have one.
    """
    merged = {**values, **others}
    for name in values.keys() & others.keys():
        value, other = values[name], others[name]
        if not (isinstance(value, Mapping) and isinstance(other, Mapping)):
            raise ValueError(f"overrides set {prefix}{name} twice")
        merged[name] = _merge_disjoint(value, other, f"{prefix}{name}.")
    return merged


def _override(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, replaced by `overrides` where those have a value."""
    merged = dict(values)
    for name, override in overrides.items():
        value = explicit_values(merged.get(name))
        are_nested = isinstance(value, Mapping) and isinstance(override, Mapping)
        merged[name] = _override(value, override) if are_nested else override
    return merged


def differing_values(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The nested values that are not equal to those of `defaults`, or missing there."""
    return {
        name: differing_values(value, defaults[name]) if isinstance(value, dict) else value
        for name, value in values.items()
        if name not in defaults or value != defaults[name]
    }


def text_settings(config: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names (and aliases) of the settings that hold a string or a list of strings."""
    names = set[str]()
    for name, field in config.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            names |= text_settings(annotation, f"{prefix}{name}.")
        elif _is_text(annotation):
            names |= {prefix + name, prefix + (field.alias or name)}
    return names


def _is_text(annotation: Any) -> bool:
    if annotation is str:
        return True
    if get_origin(annotation) in (None, tuple):  # a number, a choice, sizes of hidden layers
        return False
    return {str} == set(get_args(annotation)) - {type(None)}
