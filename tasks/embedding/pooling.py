"""A stored Doc2Vec model's word weights -> document vectors; deterministic and without gensim."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from tasks.core.documents import tokens_of

Vectors = NDArray[np.float32]


class WordWeights(NamedTuple):
    """Output weights `hidden` (n_words, vector_size) of a model, and the row of each word."""

    row_by_word: Mapping[str, int]
    hidden: Vectors


def read_vocabulary(folder: Path) -> list[str]:
    """Words of a stored model, in the order of its weights."""
    words: list[str] = pq.read_table(folder / "vocabulary.parquet", columns=["word"])[0].to_pylist()
    return words


@lru_cache(maxsize=2)
def load_weights(folder: str) -> WordWeights:
    """Word weights of a stored model; memory-mapped, so only the rows that are used are read."""
    row_by_word = {word: row for row, word in enumerate(read_vocabulary(Path(folder)))}
    return WordWeights(row_by_word, np.load(Path(folder) / "hidden.npy", "r", allow_pickle=False))


def pooled_vectors(weights: WordWeights, documents: Sequence[str]) -> Vectors:
    """Sums (n_documents, vector_size) of unit-length output weights of the documents' words.

    PV-DBOW inference searches the vector that predicts a document's words. Its first gradient
    step from zero is the sum of their output weights. Here each weight is scaled to unit length
    and the sum is divided by the square root of the number of words; nothing is random. A document
    without a known word gets the mean direction of all words.
    """
    token_rows = known_token_rows(weights.row_by_word, documents)
    used_rows = np.unique(np.concatenate([[0], *token_rows]).astype(int))
    directions = normalize(weights.hidden[used_rows])
    vectors = np.empty((len(documents), weights.hidden.shape[1]), np.float32)
    for document, rows in enumerate(token_rows):
        word_directions = directions[np.searchsorted(used_rows, rows)]
        vectors[document] = word_directions.sum(axis=0) / max(1, len(rows)) ** 0.5
    unknown = [not rows for rows in token_rows]
    if any(unknown):
        vectors[unknown] = normalize(weights.hidden).mean(axis=0)
    return vectors


def weighted_vectors(
    weights: WordWeights, documents: Sequence[str], importance: Mapping[str, float]
) -> Vectors:
    """Weighted sums (n_documents, vector_size) of the words' directions, scaled to unit length.

    As in `pooled_vectors`, but each word counts by its `importance`; words without one count 1. A
    document without a known word gets the mean direction of all words.
    """
    tokens = [[t for t in tokens_of(text) if t in weights.row_by_word] for text in documents]
    rows = np.array([weights.row_by_word[t] for words in tokens for t in words], np.int64)
    values = np.array([importance.get(t, 1.0) for words in tokens for t in words], np.float32)
    starts = np.concatenate([[0], np.cumsum([len(words) for words in tokens])])
    used_rows = np.unique(np.concatenate([[0], rows]))
    columns = np.searchsorted(used_rows, rows)
    counts = sp.csr_array((values, columns, starts), shape=(len(documents), len(used_rows)))
    vectors: Vectors = normalize(counts @ normalize(weights.hidden[used_rows]))
    unknown = [not words for words in tokens]
    if any(unknown):
        vectors[unknown] = normalize(normalize(weights.hidden).mean(axis=0, keepdims=True))
    return vectors


def known_token_rows(rows: Mapping[str, int], documents: Sequence[str]) -> list[list[int]]:
    """For each document the `rows` of its tokens; unknown tokens are left out."""
    return [[rows[word] for word in tokens_of(text) if word in rows] for text in documents]
