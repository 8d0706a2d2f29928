"""A stand-in for the text model of a run: it knows the words of the tests' index rows."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from tasks.core.contracts import UserError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.scoring import FEATURES, ItemFeatures, RankConfig, TextWeights
from tasks.recommend.text_model import NO_KNOWN_WORD
from tests.support.index_rows import VECTOR_SIZE, rows

#: Ranking by the words of movies and of texts alone, whatever the default weights are.
WORDS_ALONE = RankConfig(
    **dict.fromkeys(FEATURES, 0.0) | {"words": 1.0},
    text=TextWeights(content=0, words=1, genre=0, votes=0),
)


class WordModel:
    """A text model that compares the words of a text; `keywords`: whether it ranks by keywords."""

    def __init__(self, keywords: bool = False) -> None:
        self.text = SimpleNamespace(keywords=keywords)

    def documents(self, titles: Sequence[str], overviews: Sequence[str]) -> list[str]:
        return list(overviews)

    def count_known_tokens(self, documents: Sequence[str]) -> list[int]:
        return [len(document.split()) for document in documents]

    def text_features(self, text: str, catalogue: Catalogue) -> ItemFeatures:
        words = [word for word in text.split() if word in catalogue.words]
        if not words:
            raise UserError(NO_KNOWN_WORD)
        vector, genres = np.eye(1, VECTOR_SIZE, dtype=np.float32), np.ones((1, 2), np.float32)
        return catalogue.text_features(vector, vector, genres, dict.fromkeys(words, 1.0))

    def to_index_rows(self, movies: pa.Table) -> pa.Table:
        """Index rows of movies with equal titles, keywords and collections."""
        names = ("keywords", "collection")
        columns = {name: movies[name].to_pylist() for name in names}
        return rows(movies["title"].to_pylist(), with_keywords=self.text.keywords, **columns)
