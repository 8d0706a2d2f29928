"""The registered MLflow model, loaded from this code: titles or texts in, genres and movies out.

What it imports to answer is imported late, since MLflow runs this file to register it.
"""

import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

LIMIT = 10
MAX_LIMIT = 1000
MAX_ROWS = 1000
MAX_CHARACTERS = 10_000
UNASKED = "Give each row a title or a text."
logger = logging.getLogger(__name__)


class MovieRecommender(PythonModel):
    """Answers each row: a `title` of the index, or a `text`."""

    def load_context(self, context: Any) -> None:
        """Called by MLflow with the paths of the logged files: the index version is one of them,
        so that model and index can never disagree.

        Raises:
            DamagedVersionError: a model folder is not what was registered.
        """
        from tasks.core.storage import store
        from tasks.recommend.model_folders import ModelFolders
        from tasks.recommend.search import get_version
        from tasks.recommend.text_model import TextModel
        from tasks.registry.champion import Champion, index_uri, require_registered

        paths = {name: Path(context.artifacts[name]) for name in ModelFolders.model_fields}
        folders = ModelFolders.model_validate(paths)
        reader = store.read_json(Path(context.artifacts["reader"]))
        self.champion = Champion.model_validate(reader, extra="ignore")
        require_registered(self.champion, folders)
        self.text_model: TextModel = TextModel(folders)
        index = self.champion.index
        self.version = get_version(index.model_copy(update={"uri": index_uri(index.uri)}))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a question: `movies` like it, `genres`, their `probabilities`, or an `error`.

        Raises:
            MlflowException: neither column is there, or there are too many rows.
        """
        if not {"title", "text"} & set(model_input.columns):
            raise MlflowException.invalid_parameter_value(UNASKED)
        if len(model_input) > MAX_ROWS:
            raise MlflowException.invalid_parameter_value(
                f"A request may have at most {MAX_ROWS} rows (got {len(model_input)})."
            )
        given = model_input.to_dict("records")
        limit = int((params or {}).get("limit", LIMIT))
        return pd.DataFrame([self._answer(row, limit) for row in given])

    def _answer(self, row: Mapping[Hashable, Any], limit: int) -> dict[str, Any]:
        from tasks.core.contracts import UserError

        nothing: dict[str, Any] = {"genres": [], "probabilities": {}, "movies": [], "error": ""}
        try:
            return nothing | self._answered(row, limit)
        except UserError as error:
            return nothing | {"error": str(error)}
        except Exception as error:  # the other rows are answered all the same
            logger.exception("A row could not be answered")
            return nothing | {"error": f"Failed: {error} ({type(error).__name__})."}

    def _answered(self, row: Mapping[Hashable, Any], limit: int) -> dict[str, Any]:
        from tasks.core.contracts import UserError
        from tasks.recommend.query import (
            RecommendationRequest,
            query_from_movies,
            query_from_text,
            recommend,
        )

        title, text = (_text(row.get(name)) for name in ("title", "text"))
        if bool(title) == bool(text):
            raise UserError(UNASKED)
        if len(title or text) > MAX_CHARACTERS:
            raise UserError(
                f"A title or text may have at most {MAX_CHARACTERS} characters "
                f"(got {len(title or text)})."
            )
        if not 1 <= limit <= MAX_LIMIT:
            raise UserError(f"limit must lie between 1 and {MAX_LIMIT} (got {limit}).")
        catalogue = self.version.catalogue
        if title:
            request = RecommendationRequest(titles=[title], limit=limit)
            query = query_from_movies(request, self.version)
            movie = catalogue.movie(query.rows[0])
            (prediction,) = self.text_model.predict_genres(
                [movie["title"]], [movie["overview"]], [movie.get("keywords") or []]
            )
        else:
            request = RecommendationRequest(text=text, limit=limit)
            query = query_from_text(text, self.version, self.text_model)
            (prediction,) = self.text_model.predict_genres([""], [text])
        movies = recommend(query, request, self.version, self.champion.rank)
        return prediction._asdict() | {"movies": movies}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


set_model(MovieRecommender())
