"""Documents -> vectors, as scaled sums of a genre network's own word vectors; without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

from tasks.embedding.pooling import known_token_rows

Array = NDArray[np.float32]
MAX_WORDS = 1000  # of a document; in training, all documents take as much memory as the longest


class WordVectors(NamedTuple):
    """Vectors (n_words, size) of a genre network's words, and the row of each word."""

    row_by_word: Mapping[str, int]
    vectors: NDArray[np.floating]


def first_rows(row_by_word: Mapping[str, int], documents: Sequence[str]) -> list[list[int]]:
    """For each document the rows of its first `MAX_WORDS` known words, in order."""
    return [rows[:MAX_WORDS] for rows in known_token_rows(row_by_word, documents)]


def word_numbers(row_by_word: Mapping[str, int], documents: Sequence[str]) -> NDArray[np.int32]:
    """Word numbers (n_documents, most_words): the `first_rows` plus 1, then zeros."""
    rows = first_rows(row_by_word, documents)
    numbers = np.zeros((len(rows), max(map(len, rows), default=0)), np.int32)
    for document, words in enumerate(rows):
        numbers[document, : len(words)] = np.array(words, np.int32) + 1
    return numbers


def sum_word_vectors(words: WordVectors, documents: Sequence[str]) -> Array:
    """Sums (n_documents, size) of the `first_rows`, divided by the root of their number.

    A document without a known word gets zeros.
    """
    rows = first_rows(words.row_by_word, documents)
    counts = np.array([len(document) for document in rows])
    starts = np.concatenate([[0], np.cumsum(counts)])
    flat = np.array([row for document in rows for row in document], np.int64)
    used_rows, columns = np.unique(flat, return_inverse=True)
    occurrences = sp.csr_array(
        (np.ones(len(flat), np.float32), columns, starts), shape=(len(rows), len(used_rows))
    )
    sums: Array = occurrences @ words.vectors[used_rows].astype(np.float32)
    sums /= np.sqrt(np.maximum(counts, 1)).astype(np.float32)[:, None]
    return sums


def save_word_vectors(words: WordVectors, folder: Path) -> None:
    """Write words and vectors; half precision, which changes no probability by .001."""
    names = sorted(words.row_by_word, key=words.row_by_word.__getitem__)
    pq.write_table(pa.table({"word": names}), folder / "words.parquet")
    np.save(folder / "word_vectors.npy", words.vectors.astype(np.float16))


def load_word_vectors(folder: Path) -> WordVectors:
    """What `save_word_vectors` wrote; memory-mapped, so only the rows that are used are read."""
    names = pq.read_table(folder / "words.parquet")["word"].to_pylist()
    row_by_word = {word: row for row, word in enumerate(names)}
    return WordVectors(
        row_by_word, np.load(folder / "word_vectors.npy", mmap_mode="r", allow_pickle=False)
    )
