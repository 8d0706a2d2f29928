"""Any value -> values of its type that differ from it in one place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def changed_models(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name of each field, nested ones included, and the model with that field changed."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            for path, nested in changed_models(value, f"{prefix}{name}."):
                yield path, model.model_copy(update={name: nested})
        else:
            changed = changed_value(value, field)
            yield f"{prefix}{name}", model.model_copy(update={name: changed})


def changed_value(value: Any, field: FieldInfo | None = None) -> Any:
    """Another value; of a field with fixed values another one of those."""
    annotation = field.annotation if field else None
    if get_origin(annotation) is Literal:
        return next(choice for choice in get_args(annotation) if choice != value)
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case Path() | str():
            return type(value)(f"{value}-changed")
        case tuple() | list():
            return value * 2
        case dict():
            return value | {"changed": "changed"}
        case None:
            return "changed" if str in get_args(annotation) else 1
    raise TypeError(f"no other value of the type {type(value).__name__} is known")
