"""Texts that no run has seen -> genres, and profiles to compare, by a run's stored models.

The functions are those that give training and evaluation their numbers.
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
from tasks.data.preprocess import TextConfig, document_of
from tasks.embedding.embed import count_known_tokens, document_vectors
from tasks.genres.inference import genre_probabilities, load_classifier
from tasks.genres.metrics import apply_thresholds
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.index_features import (
    MOVIE_COLUMNS,
    genre_features,
    index_rows,
    l2_normalize,
    load_transformer,
    single_words,
    tfidf_weights,
    whiten,
)
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import ItemFeatures

Array = NDArray[np.float32]


class GenrePrediction(NamedTuple):
    """Genres over their thresholds, and every genre's probability; both empty where not one word
    of a text is known to the model."""

    genres: list[str]
    probabilities: dict[str, float]


class TextModel:
    """Doc2Vec, classifier and lexicon of one run."""

    def __init__(self, folders: ModelFolders) -> None:
        self.doc2vec = str(folders.doc2vec)
        self.text = TextConfig.model_validate(
            store.read_json(Path(self.doc2vec) / "text.json"), extra="ignore"
        )
        self.classifier, self.classes, self.thresholds = load_classifier(folders.classifier)
        self.lexicon = load_transformer(str(folders.lexicon))

    def documents(
        self,
        titles: Sequence[str],
        overviews: Sequence[str],
        keywords: Sequence[Sequence[str]] | None = None,
    ) -> list[str]:
        """Documents of movies or texts, made as those that the model was trained on.

        `keywords` are used where the model was trained with them.
        """
        words = keywords if keywords is not None else [()] * len(titles)
        return [
            document_of(title, overview, self.text, keywords=names)
            for title, overview, names in zip(titles, overviews, words, strict=True)
        ]

    def vectors(self, documents: Sequence[str]) -> Array:
        """Document vectors (n, size)."""
        return document_vectors(self.doc2vec, documents)

    def count_known_tokens(self, documents: Sequence[str]) -> list[int]:
        """How many tokens of each document the model knows."""
        return count_known_tokens(self.doc2vec, documents)

    def probabilities(self, vectors: Array) -> Array:
        """Genre probabilities (n, n_genres)."""
        return genre_probabilities(self.classifier, vectors)

    def predict_genres(
        self,
        titles: Sequence[str],
        overviews: Sequence[str],
        keywords: Sequence[Sequence[str]] | None = None,
    ) -> list[GenrePrediction]:
        """Genres of each movie or text, as `documents` takes them."""
        documents = self.documents(titles, overviews, keywords)
        probabilities = self.probabilities(self.vectors(documents))
        chosen = apply_thresholds(probabilities, self.thresholds)
        known = self.count_known_tokens(documents)
        return [
            self._answer(*row) if words else GenrePrediction([], {})
            for words, *row in zip(known, chosen, probabilities, strict=True)
        ]

    def _answer(self, chosen: NDArray[np.uint8], probabilities: Array) -> GenrePrediction:
        genres = [name for name, on in zip(self.classes, chosen, strict=True) if on]
        return GenrePrediction(
            genres, dict(zip(self.classes, map(float, probabilities), strict=True))
        )

    def to_index_rows(self, movies: pa.Table) -> pa.Table:
        """Rows of the index for movies (`MOVIES` columns), whether a run has seen them or not.

        Vectors are inferred; genres are the known ones, or predicted where there are none.
        """
        texts = (movies[name].to_pylist() for name in ("title", "overview", "keywords"))
        documents = self.documents(*texts)
        vectors = self.vectors(documents)
        labels = binarize(movies["genres"].to_pylist(), self.classes)
        genres = genre_features(labels, self.probabilities(vectors))
        return index_rows(movies.select(MOVIE_COLUMNS), documents, vectors, genres, self.lexicon)

    def text_features(self, text: str, catalogue: Catalogue) -> ItemFeatures:
        """What a text is compared by: its words, its vector, the genres that are predicted.

        Raises:
            UserError: not one word of it is known.
        """
        documents = self.documents([""], [text])
        if not self.count_known_tokens(documents)[0]:
            raise UserError("Not one word of the text is known to the model: nothing can be said.")
        vectors = self.vectors(documents)
        return catalogue.text_features(
            whiten(vectors, self.lexicon),
            l2_normalize(self.probabilities(vectors)),
            tfidf_weights(single_words(documents[0]), self.lexicon.words, self.lexicon.rare),
        )
