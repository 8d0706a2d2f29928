"""Settings of a flow as Prefect has them: a short form, and `overrides` for everything else.

Prefect's form posts each of its fields as an explicit value, defaults included, and an explicit
value beats a preset. The form therefore has no field for what a preset sets: those settings are
given in `overrides`, by dotted names or nested, as in `{"doc2vec.seed": 7}` and
`{"doc2vec": {"seed": 7}}`.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tasks.core.strict_config import StrictConfig

OVERRIDES = "overrides"
OVERRIDES_SCHEMA = {
    "type": "object",
    "title": "Overrides",
    "description": "Any other setting of the command line by its name, "
    'as in {"doc2vec.seed": 7, "retention.cache_gb": 5}; it beats the preset',
}


class FlowParameters(StrictConfig):
    """Settings of a flow; Prefect's form shows those that `form_fields` names."""

    form_fields: ClassVar[tuple[str, ...]]
    has_overrides: ClassVar[bool] = False

    @property
    def explicit_settings(self) -> dict[str, Any]:
        """The settings that differ from the defaults, by their names on the command line."""
        plain = type(self).model_construct().model_dump(by_alias=True)
        return differing_values(self.model_dump(by_alias=True), plain)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema by which Prefect draws the form and checks parameters.

        What is in `properties` is drawn. What the form leaves out is in `patternProperties`, so
        that prefect.yaml and the API may name it, and a misspelt name is refused all the same.
        """
        reference = handler(core_schema)
        schema: JsonSchemaValue = handler.resolve_ref_schema(reference)
        fields: dict[str, Any] = schema["properties"]
        shown = {name: _without_null(fields.pop(name)) for name in cls.form_fields}
        schema["properties"] = shown | ({OVERRIDES: OVERRIDES_SCHEMA} if cls.has_overrides else {})
        schema["patternProperties"] = {f"^{re.escape(name)}$": fields[name] for name in fields}
        return reference


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional setting as one input; Prefect takes an empty one for `null`."""
    types: list[dict[str, Any]] = schema.get("anyOf", [])
    types = [kind for kind in types if kind != {"type": "null"}]
    if len(types) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return rest | types[0]


def with_overrides(values: Any) -> Any:
    """Parameters with `overrides` merged into the settings that they name.

    Raises:
        ValueError: `overrides` is no mapping, or sets a setting twice.
    """
    if not isinstance(values, Mapping) or OVERRIDES not in values:
        return values
    overrides = values[OVERRIDES] or {}
    if not isinstance(overrides, Mapping):
        raise ValueError('overrides must be a mapping, as in {"doc2vec.seed": 7}')
    settings = {name: value for name, value in values.items() if name != OVERRIDES}
    return _merged(settings, _nested(overrides))


def explicit_values(value: Any) -> Any:
    """A stage's settings as a mapping: of a config object, those that were set."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted names as nested mappings.

    Raises:
        ValueError: a setting is named twice.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        branch = _nested(value) if isinstance(value, Mapping) else value
        for part in reversed(str(name).split(".")):
            branch = {part: branch}
        nested = _joined(nested, branch)
    return nested


def _joined(
    values: Mapping[str, Any], others: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """Nested mappings that have no setting in common, as one."""
    joined = {**values, **others}
    for name in values.keys() & others.keys():
        value, other = values[name], others[name]
        if not (isinstance(value, Mapping) and isinstance(other, Mapping)):
            raise ValueError(f"overrides set {prefix}{name} twice")
        joined[name] = _joined(value, other, f"{prefix}{name}.")
    return joined


def _merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, override in overrides.items():
        value = explicit_values(merged.get(name))
        both = isinstance(value, Mapping) and isinstance(override, Mapping)
        merged[name] = _merged(value, override) if both else override
    return merged


def differing_values(values: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Those of nested values that `plain` lacks or has otherwise."""
    return {
        name: differing_values(value, plain[name]) if isinstance(value, dict) else value
        for name, value in values.items()
        if name not in plain or value != plain[name]
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
