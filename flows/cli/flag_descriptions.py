"""A command's config -> its flags as plain values, which `flags.json` stores.

Importing a config takes seconds. Help, completion and the check of flags read the file instead.
"""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import CliPositionalArg

from flows.runtime.parameters import flag_name

POSITIONAL = get_args(CliPositionalArg[str])[1]
#: Types in words; a list of numbers is a single value, as in `512,256`.
TYPES = {str: "text", int: "integer", float: "number", bool: "switch"}
BOUNDS = ("ge", "gt", "le", "lt")
Description = dict[str, Any]


def command_description(config: type[BaseModel]) -> Description:
    """Flags and arguments of a command, and the summary of each stage that has flags."""
    return {"flags": list(flag_descriptions(config)), "stages": stage_summaries(config)}


def flag_descriptions(config: type[BaseModel], stage: str = "") -> Iterator[Description]:
    """A description for each setting, those of nested configs included."""
    for name, field in config.model_fields.items():
        if nested := nested_config(field):
            yield from flag_descriptions(nested, f"{stage}{name}.")
        else:
            yield describe_flag(name, field, stage)


def nested_config(field: FieldInfo) -> type[BaseModel] | None:
    """The config of a stage; None for a single setting."""
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def describe_flag(name: str, field: FieldInfo, stage: str) -> Description:
    """One setting; what is empty or false is left out."""
    is_positional = POSITIONAL in field.metadata
    description = {
        "name": name.upper() if is_positional else flag_name(stage + public_name(name, field)),
        "stage": stage.removesuffix("."),
        "description": field.description,
        "default": default_text(field),
        "required": field.is_required(),
        "bounds": {key: value for one in field.metadata for key, value in bounds_of(one).items()},
        **describe_type(field.annotation),
    }
    return {key: value for key, value in description.items() if value}


def public_name(name: str, field: FieldInfo) -> str:
    """Name of a setting on the command line: its alias, if it has one."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias or name)


def bounds_of(constraint: Any) -> dict[str, float]:
    """Lower and upper bound, by the names in `BOUNDS`."""
    bounds = {name: getattr(constraint, name, None) for name in BOUNDS}
    return {name: value for name, value in bounds.items() if value is not None}


def describe_type(annotation: Any) -> Description:
    """Type in words, choices, and whether the setting can be unset or repeated."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {"type": "choice", "choices": list(arguments)}
    if get_origin(annotation) is list:
        return {"type": TYPES[arguments[0]], "repeated": True}
    if get_origin(annotation) is tuple:
        return {"type": f"{TYPES[arguments[0]]}s"}
    if arguments:  # a union with None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return {**describe_type(inner), "optional": True}
    return {"type": TYPES[annotation]}


def default_text(field: FieldInfo) -> str:
    """The default as it would be typed; empty if there is none."""
    default = field.get_default()
    if field.is_required() or default is None:
        return ""
    if isinstance(default, bool):
        return "on" if default else ""
    if isinstance(default, list | tuple):
        return ",".join(map(str, default))
    return str(default)


def stage_summaries(config: type[BaseModel], stage: str = "") -> dict[str, str]:
    """The first line of the docstring of each nested config, by stage."""
    summaries = dict[str, str]()
    for name, field in config.model_fields.items():
        if nested := nested_config(field):
            summaries[stage + name] = (nested.__doc__ or "").splitlines()[0].removesuffix(".")
            summaries |= stage_summaries(nested, f"{stage}{name}.")
    return summaries
