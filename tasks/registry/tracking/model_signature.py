"""What the registered model takes and gives, as MLflow checks it."""

from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

MOVIE = Object(
    [
        Property("source", DataType.string),
        Property("id", DataType.long),
        Property("title", DataType.string),
        Property("year", DataType.long, required=False),
        Property("genres", Array(DataType.string)),
        Property("score", DataType.double),
    ]
)
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.string, "title", required=False),
            ColSpec(DataType.string, "text", required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(Array(DataType.string), "genres"),
            ColSpec(Map(DataType.double), "probabilities"),
            ColSpec(Array(MOVIE), "movies"),
            ColSpec(DataType.string, "error"),
        ]
    ),
    params=ParamSchema([ParamSpec("limit", DataType.long, 10)]),
)
