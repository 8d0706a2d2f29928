"""Small hand-made rows of the index."""

import numpy as np
import pyarrow as pa

from tasks.core.contracts import MOVIES
from tasks.recommend.index_features import MOVIE_COLUMNS, IndexTransformer, index_rows

BITING = [
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
TITLES = ["Alien", "Aliens", "Amélie", "Cinderella", "Cinderella", "Toy Story", *BITING]


GENRES = ["Horror", "War"]


def lexicon(size: int = 6) -> IndexTransformer:
    """Frequencies of no word, vectors as they are."""
    centre, same = np.zeros(size, np.float32), np.eye(size, dtype=np.float32)
    return IndexTransformer({}, {}, centre, same, 0.1, GENRES, rare=1.0)


def rows(titles: list[str], seed: int = 0) -> pa.Table:
    """A movie a title, with random vectors, of the genres Horror and War in turn."""
    count, random = len(titles), np.random.default_rng(seed)
    years = [1950 if n == 3 else 2015 if n == 4 else 1979 + n for n in range(count)]
    movies = [
        {
            "source": "m",
            "id": number + 1,
            "title": title,
            "overview": f"Story {number} of {title[:20]}.",
            "genres": [GENRES[number % 2]],
            "keywords": [],
            "year": years[number],
            "language": "en" if number % 3 else "fr",
            "collection": None,
            "vote_count": 10 * number,
            "row": number + 1,
        }
        for number, title in enumerate(titles)
    ]
    table = pa.Table.from_pylist(movies, MOVIES).select(MOVIE_COLUMNS)
    documents = [f"story word{number % 4} word{number % 7}" for number in range(count)]
    vectors = random.normal(size=(count, 6)).astype(np.float32)
    genres = np.eye(2, dtype=np.float32)[np.arange(count) % 2]
    return index_rows(table, documents, vectors, genres, lexicon())
