"""The registered MLflow model, loaded from this code: texts in, genres and probabilities out.

gensim is imported where it is used, since MLflow runs this file to register it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from tasks import store
from tasks.forward import genre_probabilities, load_classifier
from tasks.preprocess import TextConfig, tokens_of


class Answer(NamedTuple):
    """Genres over their thresholds, and every genre's probability; both empty where not one word
    of a text is known to the model."""

    genres: list[str]
    probabilities: dict[str, float]


class GenrePredictor(PythonModel):
    """Genres of texts, by the stored Doc2Vec, classifier and thresholds."""

    def load(self, doc2vec: Path, classifier: Path) -> "GenrePredictor":
        """Load the classifier; Doc2Vec is loaded with the first text."""
        self.doc2vec = str(doc2vec)
        self.text = TextConfig.model_validate(store.read_json(doc2vec / "text.json"))
        self.classifier, self.classes, self.thresholds = load_classifier(classifier)
        return self

    def answers(self, titles: Sequence[str], overviews: Sequence[str]) -> list[Answer]:
        """An answer a text, by the functions that give training and evaluation their numbers."""
        from tasks.embed import known_in_folder, vectors_in_folder
        from tasks.metrics import predicted

        pairs = zip(titles, overviews, strict=True)
        documents = [" ".join(tokens_of(*pair, self.text)) for pair in pairs]
        vectors = vectors_in_folder(self.doc2vec, documents)
        probabilities = genre_probabilities(self.classifier, vectors)
        chosen = predicted(probabilities, self.thresholds)
        known = known_in_folder(self.doc2vec, documents)
        return [
            self._answer(*row) if words else Answer([], {})
            for words, *row in zip(known, chosen, probabilities, strict=True)
        ]

    def _answer(self, chosen: Any, probabilities: Any) -> Answer:
        genres = [name for name, on in zip(self.classes, chosen, strict=True) if on]
        return Answer(genres, dict(zip(self.classes, map(float, probabilities), strict=True)))

    def load_context(self, context: Any) -> None:
        """Called by MLflow with the paths of the logged files."""
        self.load(Path(context.artifacts["doc2vec"]), Path(context.artifacts["classifier"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a text of the column `text`: `genres` and `probabilities` of `Answer`."""
        texts = model_input["text"].tolist()
        return pd.DataFrame(self.answers([""] * len(texts), texts), columns=Answer._fields)


set_model(GenrePredictor())
