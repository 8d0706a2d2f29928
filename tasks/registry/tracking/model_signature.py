"""Inputs and outputs of the registered model: the schema that MLflow enforces, and an example."""

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType, Array, Map, Object, Property

MOVIE = Object(
    [
        Property("source", DataType.string),
        Property("id", DataType.string),
        Property("title", DataType.string),
        Property("year", DataType.long, required=False),
        Property("genres", Array(DataType.string)),
        Property("score", DataType.double),
    ]
)
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(AnyType(), "title", required=False),  # type: ignore[no-untyped-call] # or 300
            ColSpec(DataType.string, "text", required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(Array(DataType.string), "genres"),
            ColSpec(Map(DataType.double), "probabilities"),
            ColSpec(Array(MOVIE), "movies"),
            ColSpec(DataType.string, "note"),
            ColSpec(DataType.string, "error"),
        ]
    ),
    params=ParamSchema([ParamSpec("limit", DataType.long, 10)]),
)
#: A request with one row of each kind: a movie of the catalogue by title, and a free text. Unused
#: cells are empty and not None, since MLflow would store None as NaN, which is not valid JSON.
INPUT_EXAMPLE = pd.DataFrame(
    {
        "title": ["Toy Story", ""],
        "text": ["", "A detective hunts a serial killer in a rainy city."],
    }
)
