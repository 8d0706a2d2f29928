"""A stored Doc2Vec model's word weights -> document vectors, without gensim and without chance."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

Vectors = NDArray[np.float32]


class WordWeights(NamedTuple):
    """Row of each known word in `hidden`, the model's output weights (n_words, vector_size)."""

    rows: Mapping[str, int]
    hidden: Vectors


@lru_cache(maxsize=2)
def load_weights(folder: str) -> WordWeights:
    """Word weights of a stored model, mapped from disk: only the rows that are used are read."""
    words = pq.read_table(Path(folder) / "vocabulary.parquet", columns=["word"])["word"]
    rows = {word: row for row, word in enumerate(words.to_pylist())}
    return WordWeights(rows, np.load(Path(folder) / "hidden.npy", "r", allow_pickle=False))


def pooled_vectors(weights: WordWeights, documents: Sequence[str]) -> Vectors:
    """Summed directions (n_documents, vector_size) of the known words' output weights.

    PV-DBOW looks for the vector that predicts a document's words. From a start at zero, the first
    step towards it is the sum of those words' output weights: this is that step, with each weight
    at length one and the sum divided by the root of the number of words. Nothing in it is random.
    A document without a known word gets the mean direction of all words.
    """
    known = known_token_rows(weights, documents)
    words = np.unique(np.concatenate([[0], *known]).astype(int))
    directions = normalize(weights.hidden[words])
    pooled = np.empty((len(documents), weights.hidden.shape[1]), np.float32)
    for row, columns in enumerate(known):
        own = directions[np.searchsorted(words, columns)]
        pooled[row] = own.sum(axis=0) / max(1, len(columns)) ** 0.5
    unknown = [not columns for columns in known]
    if any(unknown):
        pooled[unknown] = normalize(weights.hidden).mean(axis=0)
    return pooled


def known_token_rows(weights: WordWeights, documents: Sequence[str]) -> list[list[int]]:
    """For each document the rows of those of its words that the model knows."""
    rows = weights.rows
    return [[rows[word] for word in text.split() if word in rows] for text in documents]
