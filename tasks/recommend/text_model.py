"""Texts outside the training data -> genres and index features, by the models of one run.

Preprocessing, embedding and classifier are the functions that training and evaluation use.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.data.labels import binarize
from tasks.data.preprocess import TextConfig, build_document
from tasks.embedding.inference import count_known_tokens, document_vectors
from tasks.genres.inference import genre_probabilities, load_classifier
from tasks.genres.metrics import apply_thresholds
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.features.index_features import (
    MOVIE_COLUMNS,
    genre_features,
    load_feature_models,
)
from tasks.recommend.features.index_transformer import l2_normalize, single_words, tfidf_weights
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import ItemFeatures

Array = NDArray[np.float32]
NO_KNOWN_WORD = "The model knows no word of the text: it cannot predict genres or find movies."


class GenrePrediction(NamedTuple):
    """Predicted genres of a text, and the probability of every genre.

    Both are empty if the model knows no word of the text.
    """

    genres: list[str]
    probabilities: dict[str, float]


class TextModel:
    """Doc2Vec model, genre classifier and index transformer of one run."""

    def __init__(self, folders: ModelFolders) -> None:
        self.doc2vec = str(folders.doc2vec)
        self.text = TextConfig.model_validate(
            store.read_json(Path(self.doc2vec) / "text.json"), extra="ignore"
        )
        self.classifier, self.classes, self.thresholds = load_classifier(folders.classifier)
        self.features = load_feature_models(folders.doc2vec, self.classifier, folders.lexicon)

    def documents(
        self,
        titles: Sequence[str],
        overviews: Sequence[str],
        keywords: Sequence[Sequence[str]] | None = None,
    ) -> list[str]:
        """Documents of movies, preprocessed like the training documents.

        `keywords` are used only if the model was trained with keywords.
        """
        keyword_lists = keywords if keywords is not None else [()] * len(titles)
        return [
            build_document(title, overview, self.text, keywords=words)
            for title, overview, words in zip(titles, overviews, keyword_lists, strict=True)
        ]

    def vectors(self, documents: Sequence[str]) -> Array:
        """Document vectors (n, size)."""
        return document_vectors(self.doc2vec, documents)

    def count_known_tokens(self, documents: Sequence[str]) -> list[int]:
        """Number of tokens of each document that are in the model's vocabulary."""
        return count_known_tokens(self.doc2vec, documents)

    def probabilities(self, documents: Sequence[str], vectors: Array) -> Array:
        """Genre probabilities (n, n_genres) of documents and their vectors."""
        return genre_probabilities(self.classifier, documents, vectors)

    def predict_genres(
        self,
        titles: Sequence[str],
        overviews: Sequence[str],
        keywords: Sequence[Sequence[str]] | None = None,
    ) -> list[GenrePrediction]:
        """Predicted genres of each movie or text; arguments as in `documents`."""
        documents = self.documents(titles, overviews, keywords)
        probabilities = self.probabilities(documents, self.vectors(documents))
        predicted = apply_thresholds(probabilities, self.thresholds)
        token_counts = self.count_known_tokens(documents)
        return [
            self._prediction(*row) if count else GenrePrediction([], {})
            for count, *row in zip(token_counts, predicted, probabilities, strict=True)
        ]

    def _prediction(self, predicted: NDArray[np.uint8], probabilities: Array) -> GenrePrediction:
        genres = [name for name, on in zip(self.classes, predicted, strict=True) if on]
        by_genre = dict(zip(self.classes, map(float, probabilities), strict=True))
        return GenrePrediction(genres, by_genre)

    def to_index_rows(self, movies: pa.Table) -> pa.Table:
        """Index rows of movies (`MOVIES` columns), which training may or may not have seen.

        Document vectors are inferred; genres are predicted for movies without genres.
        """
        titles, overviews, keywords = (
            movies[name].to_pylist() for name in ("title", "overview", "keywords")
        )
        documents = self.documents(titles, overviews, keywords)
        vectors = self.vectors(documents)
        labels = binarize(movies["genres"].to_pylist(), self.classes)
        genres = genre_features(labels, self.probabilities(documents, vectors))
        return self.features.index_rows(movies.select(MOVIE_COLUMNS), documents, vectors, genres)

    def text_features(self, text: str, catalogue: Catalogue) -> ItemFeatures:
        """Features (one row) of a text: words, vectors and predicted genres.

        Raises:
            UserError: the model knows no word of the text.
        """
        documents = self.documents([""], [text])
        if not self.count_known_tokens(documents)[0]:
            raise UserError(NO_KNOWN_WORD)
        vectors = self.vectors(documents)
        transformer = self.features.transformer
        words = single_words(documents[0])
        return catalogue.text_features(
            content=self.features.content(documents),
            hidden=self.features.hidden(documents, vectors),
            genres=l2_normalize(self.probabilities(documents, vectors)),
            word_weights=tfidf_weights(words, transformer.words, transformer.rare),
        )
