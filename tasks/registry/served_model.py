"""The registered MLflow model: rows with a title or a text -> genres and recommended movies.

MLflow runs this file to register the model and again to load it ("models from code"). Project
modules are imported inside the functions, so that registering does not load them.
"""

import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

if TYPE_CHECKING:
    from tasks.recommend.query import RecommendationQuery, RecommendationRequest
    from tasks.recommend.text_model import GenrePrediction

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
MAX_ROWS = 1000
MAX_CHARACTERS = 10_000
NO_QUERY = "Give each row a title or a text."
EMPTY_ANSWER: dict[str, Any] = {
    "genres": [],
    "probabilities": {},
    "movies": [],
    "note": "",
    "error": "",
}
logger = logging.getLogger(__name__)


class MovieRecommender(PythonModel):
    """Answers each input row: a `title` of the index, or a `text`."""

    def load_context(self, context: Any) -> None:
        """Load the model folders and the index version that were registered together.

        Called by MLflow with the local paths of the logged artifacts.

        Raises:
            DamagedVersionError: a model folder differs from its registered digest.
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
        """One output row per input row: `genres`, `probabilities`, `movies`, or an `error`.

        `note` says which movie was taken where a title can mean several.

        Raises:
            MlflowException: the input has neither column, or too many rows.
        """
        _validate_input(model_input)
        limit = int((params or {}).get("limit", DEFAULT_LIMIT))
        rows = model_input.to_dict("records")
        return pd.DataFrame([self._answer_or_error(row, limit) for row in rows])

    def _answer_or_error(self, row: Mapping[Hashable, Any], limit: int) -> dict[str, Any]:
        from tasks.core.contracts import UserError

        try:
            return EMPTY_ANSWER | self._answer(row, limit)
        except UserError as error:
            return EMPTY_ANSWER | {"error": str(error)}
        except Exception as error:  # one bad row must not fail the whole request
            logger.exception("A row could not be answered")
            return EMPTY_ANSWER | {"error": f"Failed: {error} ({type(error).__name__})."}

    def _answer(self, row: Mapping[Hashable, Any], limit: int) -> dict[str, Any]:
        from tasks.recommend.query import recommend

        title, text = _cell_text(row.get("title")), _cell_text(row.get("text"))
        _validate_row(title, text, limit)
        if title:
            request, query, prediction = self._from_title(title, limit)
        else:
            request, query, prediction = self._from_text(text, limit)
        movies = recommend(query, request, self.version, self.champion.rank)
        return prediction._asdict() | {"movies": movies, "note": " ".join(query.notes)}

    def _from_title(
        self, title: str, limit: int
    ) -> "tuple[RecommendationRequest, RecommendationQuery, GenrePrediction]":
        from tasks.recommend.query import RecommendationRequest, query_from_movies

        request = RecommendationRequest(titles=[title], limit=limit)
        query = query_from_movies(request, self.version)
        movie = self.version.catalogue.movie(query.rows[0])
        (prediction,) = self.text_model.predict_genres(
            [movie["title"]], [movie["overview"]], [movie.get("keywords") or []]
        )
        return request, query, prediction

    def _from_text(
        self, text: str, limit: int
    ) -> "tuple[RecommendationRequest, RecommendationQuery, GenrePrediction]":
        from tasks.recommend.query import RecommendationRequest, query_from_text

        request = RecommendationRequest(text=text, limit=limit)
        query = query_from_text(text, self.version, self.text_model)
        (prediction,) = self.text_model.predict_genres([""], [text])
        return request, query, prediction


def _validate_input(model_input: pd.DataFrame) -> None:
    if not {"title", "text"} & set(model_input.columns):
        raise MlflowException.invalid_parameter_value(NO_QUERY)
    if len(model_input) > MAX_ROWS:
        raise MlflowException.invalid_parameter_value(
            f"A request may have at most {MAX_ROWS} rows (got {len(model_input)})."
        )


def _validate_row(title: str, text: str, limit: int) -> None:
    from tasks.core.contracts import UserError

    if bool(title) == bool(text):
        raise UserError(NO_QUERY)
    length = len(title or text)
    if length > MAX_CHARACTERS:
        raise UserError(
            f"A title or text may have at most {MAX_CHARACTERS} characters (got {length})."
        )
    if not 1 <= limit <= MAX_LIMIT:
        raise UserError(f"limit must lie between 1 and {MAX_LIMIT} (got {limit}).")


def _cell_text(value: Any) -> str:
    """The text of a cell; JSON's numbers are titles too, and a column of them has NaN for none.

    Raises:
        UserError: the cell is a list or an object.
    """
    from tasks.core.contracts import UserError

    if isinstance(value, str):
        return value.strip()
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise UserError(f"A title or text is a text or a number (got {str(value)[:50]}).")


set_model(MovieRecommender())
