"""Small hand-made index rows."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.contracts import MOVIES
from tasks.embedding.pooling import WordWeights
from tasks.genres.inference import Classifier, Layer
from tasks.recommend.features.index_features import MOVIE_COLUMNS, FeatureModels
from tasks.recommend.features.index_transformer import IndexTransformer, Projection

#: Titles that break careless SQL, paths, spreadsheets or look-ups.
HOSTILE_TITLES = [
    "O'Brien's \"Quote\"",
    "x' OR '1'='1",
    "'; DROP TABLE movies; --",
    "100% Wolf_",
    "千と千尋の神隠し",
    "Padded",
    "M",
    "Emoji 🎬",
    "=HYPERLINK(1)",
    "../../etc/passwd",
    "line break",
    "a" * 500,
    "!!!",
]
TITLES = ["Alien", "Aliens", "Amélie", "Cinderella", "Cinderella", "Toy Story", *HOSTILE_TITLES]
GENRES = ["Horror", "War"]
VECTOR_SIZE = 6


def identity_projection(size: int = VECTOR_SIZE) -> Projection:
    """A projection that leaves vectors unchanged."""
    return Projection(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))


def identity_transformer(*, with_keywords: bool = False) -> IndexTransformer:
    """A transformer that leaves vectors unchanged and knows no word."""
    return IndexTransformer(
        words={},
        titles={},
        people={},
        keywords={},
        pooling={},
        content=identity_projection(),
        hidden=identity_projection(),
        affinity=np.eye(len(GENRES), dtype=np.float32),
        votes=0.1,
        classes=GENRES,
        rare=1.0,
        with_keywords=with_keywords,
    )


def feature_models(vectors: NDArray[np.float32], *, with_keywords: bool = False) -> FeatureModels:
    """Models that know one word of each movie, `movie_0` and so on, by these `vectors`.

    The hidden units of the network are the components of a document vector plus 3, if positive.
    """
    row_by_word = {f"movie_{row}": row for row in range(len(vectors))}
    layers = [Layer(np.eye(VECTOR_SIZE), np.full(VECTOR_SIZE, shift)) for shift in (3, 0)]
    transformer = identity_transformer(with_keywords=with_keywords)
    return FeatureModels(WordWeights(row_by_word, vectors), Classifier(layers), transformer)


def rows(
    titles: list[str], seed: int = 0, *, with_keywords: bool = False, **columns: Sequence[object]
) -> pa.Table:
    """Index rows of movies with random vectors, alternating between the genres Horror and War.

    Ids start at 1; years are 1979 plus the position, but 1950 and 2015 for the two Cinderellas.
    `columns` replace these values. The bigram `movie_0` decides a vector and is no word of a text.
    """
    positions = np.arange(len(titles))
    movies = [
        _movie(position, title) | {name: column[position] for name, column in columns.items()}
        for position, title in enumerate(titles)
    ]
    random = np.random.default_rng(seed).normal(size=(len(titles), VECTOR_SIZE))
    vectors = random.astype(np.float32)
    return feature_models(vectors, with_keywords=with_keywords).index_rows(
        pa.Table.from_pylist(movies, MOVIES).select(MOVIE_COLUMNS),
        documents=[f"story word{row % 4} word{row % 7} movie_{row}" for row in positions],
        vectors=vectors,
        genres=np.eye(len(GENRES), dtype=np.float32)[positions % 2],
    )


def _movie(position: int, title: str) -> dict[str, object]:
    return {
        "source": "m",
        "id": str(position + 1),
        "title": title,
        "overview": f"Story {position} of {title[:20]}.",
        "genres": [GENRES[position % 2]],
        "keywords": [],
        "people": [],
        "imdb_id": None,
        "year": {3: 1950, 4: 2015}.get(position, 1979 + position),
        "language": "en" if position % 3 else "fr",
        "collection": None,
        "vote_count": 10 * position,
        "row": position + 1,
    }
