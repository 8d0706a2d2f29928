"""Small hand-made index rows."""

import numpy as np
import pyarrow as pa

from tasks.core.contracts import MOVIES
from tasks.recommend.index_features import MOVIE_COLUMNS, index_rows
from tasks.recommend.index_transformer import IndexTransformer

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


def identity_transformer() -> IndexTransformer:
    """A transformer that leaves vectors unchanged and knows no word."""
    return IndexTransformer(
        words={},
        titles={},
        centre=np.zeros(VECTOR_SIZE, np.float32),
        whitening=np.eye(VECTOR_SIZE, dtype=np.float32),
        votes=0.1,
        classes=GENRES,
        rare=1.0,
    )


def rows(titles: list[str], seed: int = 0) -> pa.Table:
    """Index rows of movies with random vectors, alternating between the genres Horror and War.

    Ids start at 1; years are 1979 plus the position, but 1950 and 2015 for the two Cinderellas.
    """
    positions = np.arange(len(titles))
    movies = [_movie(position, title) for position, title in enumerate(titles)]
    vectors = np.random.default_rng(seed).normal(size=(len(titles), VECTOR_SIZE))
    return index_rows(
        pa.Table.from_pylist(movies, MOVIES).select(MOVIE_COLUMNS),
        documents=[f"story word{position % 4} word{position % 7}" for position in positions],
        vectors=vectors.astype(np.float32),
        genres=np.eye(len(GENRES), dtype=np.float32)[positions % 2],
        transformer=identity_transformer(),
    )


def _movie(position: int, title: str) -> dict[str, object]:
    return {
        "source": "m",
        "id": position + 1,
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
