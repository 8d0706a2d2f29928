"""The registered MLflow model, loaded from this code: titles or texts in, genres and movies out.

What it imports to answer is imported late, since MLflow runs this file to register it.
"""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

LIMIT = 10
UNASKED = "Give each row a title or a text."


class MovieRecommender(PythonModel):
    """Answers each row: a `title` of the index, or a `text`."""

    def load_context(self, context: Any) -> None:
        """Called by MLflow with the paths of the logged files: the index version is one of them,
        so that model and index can never disagree."""
        from tasks import store
        from tasks.champion import Champion, ModelFolders
        from tasks.search import opened
        from tasks.unseen import TextModel

        folders = {name: Path(context.artifacts[name]) for name in ModelFolders.model_fields}
        self.text_model: TextModel = TextModel(ModelFolders.model_validate(folders))
        reader = store.read_json(Path(context.artifacts["reader"]))
        self.champion = Champion.model_validate(reader, extra="ignore")
        self.version = opened(self.champion.index)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a question: `movies` like it, `genres`, their `probabilities`, or an `error`."""
        if not {"title", "text"} & set(model_input.columns):
            raise MlflowException.invalid_parameter_value(UNASKED)
        given = model_input.to_dict("records")
        limit = int((params or {}).get("limit", LIMIT))
        return pd.DataFrame([self._answer(row, limit) for row in given])

    def _answer(self, row: Mapping[Hashable, Any], limit: int) -> dict[str, Any]:
        from tasks.contracts import UserError

        nothing: dict[str, Any] = {"genres": [], "probabilities": {}, "movies": [], "error": ""}
        try:
            return nothing | self._answered(row, limit)
        except UserError as error:
            return nothing | {"error": str(error)}

    def _answered(self, row: Mapping[Hashable, Any], limit: int) -> dict[str, Any]:
        from flows.recommend import Question, RecommendConfig, asked, recommend
        from tasks.contracts import UserError
        from tasks.search import overview_of

        title, text = (_text(row.get(name)) for name in ("title", "text"))
        if bool(title) == bool(text):
            raise UserError(UNASKED)
        if not 1 <= limit <= 1000:
            raise UserError(f"limit must lie between 1 and 1000 (got {limit}).")
        catalogue = self.version.catalogue
        if title:
            config = RecommendConfig(titles=[title], limit=limit)
            question = asked(config, self.version, self.champion)
            movie = catalogue.movie(question.rows[0])
            (found,) = self.text_model.answers(
                [movie["title"]], [overview_of(self.version.table, movie)]
            )
        else:
            config = RecommendConfig(text=text, limit=limit)
            question = Question(text, self.text_model.profile(text, catalogue), [])
            (found,) = self.text_model.answers([""], [text])
        movies = recommend(self.champion, self.version, question, config)
        return found._asdict() | {"movies": movies}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


set_model(MovieRecommender())
