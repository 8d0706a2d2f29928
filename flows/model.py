"""The registered MLflow model, loaded from this code: texts in, genres and probabilities out.

torch and gensim are imported where they are used, since MLflow runs this file to register it.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from tasks.preprocess import content_tokens


class GenrePredictor(PythonModel):
    """Genres of free texts, by the stored Doc2Vec, classifier and thresholds."""

    def load_context(self, context: Any) -> None:
        """Load the classifier; Doc2Vec is loaded with the first text."""
        from tasks.network import load_classifier

        self.doc2vec = context.artifacts["doc2vec"]
        self.network, self.classes, self.thresholds = load_classifier(
            Path(context.artifacts["classifier"])
        )

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a text: names of its genres, and every genre's probability."""
        from tasks.doc2vec import infer_in_folder
        from tasks.network import predict_probabilities

        documents = [" ".join(content_tokens("", text)) for text in model_input["text"]]
        vectors = infer_in_folder(self.doc2vec, documents)
        probabilities = predict_probabilities(self.network, vectors)
        chosen = probabilities >= self.thresholds
        genres = [[n for n, on in zip(self.classes, row, strict=True) if on] for row in chosen]
        named = [dict(zip(self.classes, map(float, row), strict=True)) for row in probabilities]
        return pd.DataFrame({"genres": genres, "probabilities": named})


set_model(GenrePredictor())
