"""The fitted transformer of the index: IDF weights, embedding whitening, and their files."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.storage import store

Vectors = NDArray[np.float32]


class IndexTransformer(NamedTuple):
    """Fitted statistics that turn texts and document vectors into index features.

    `words` and `titles` are inverse document frequencies by term, `rare` is that of a term outside
    them. A document vector minus `centre` (size,), times `whitening` (size, size), has uncorrelated
    dimensions of equal variance. `votes` is the mean popularity prior, used where the vote count is
    unknown. `classes` are the genres of the columns of a genre vector.
    """

    words: dict[str, float]
    titles: dict[str, float]
    centre: Vectors
    whitening: Vectors
    votes: float
    classes: list[str]
    rare: float


def smooth_idf(document_frequencies: Mapping[str, int], n_documents: int) -> dict[str, float]:
    """Inverse document frequency log((1 + n) / (1 + df)) + 1 of each term, as in scikit-learn."""
    return {
        term: math.log((1 + n_documents) / (1 + frequency)) + 1
        for term, frequency in document_frequencies.items()
    }


def tfidf_weights(terms: Sequence[str], idf: Mapping[str, float], rare: float) -> dict[str, float]:
    """TF-IDF weights (1 + log tf) × idf of a document's terms, scaled to unit length.

    `rare` is the IDF of terms that are not in `idf`.
    """
    weights = {
        term: (1 + math.log(count)) * idf.get(term, rare) for term, count in Counter(terms).items()
    }
    norm = sum(weight**2 for weight in weights.values()) ** 0.5
    return {term: weight / norm for term, weight in weights.items()}


def single_words(document: str) -> list[str]:
    """The single words of a document, without its bigrams."""
    return [token for token in document.split() if "_" not in token]


def mean_and_covariance(parts: Iterable[Vectors]) -> tuple[Vectors, NDArray[np.float64], int]:
    """Mean (size,) and covariance (size, size) of vectors that come in parts, and their number."""
    count, total, squares = 0, np.zeros(1), np.zeros((1, 1))
    for part in parts:
        vectors = part.astype(np.float64)
        count += len(vectors)
        total = total + vectors.sum(axis=0)
        squares = squares + vectors.T @ vectors
    mean = total / count
    covariance = np.asarray(squares / count - np.outer(mean, mean))
    return np.asarray(mean, np.float32), covariance, count


def whitening_matrix(covariance: NDArray[np.float64], n_documents: int) -> Vectors:
    """PCA whitening matrix (size, size) of vectors with this covariance.

    The variances are shrunk towards their mean, more so for few documents, because directions that
    hardly vary in a small sample would be amplified.
    """
    variances, directions = np.linalg.eigh(covariance)
    ridge = variances.mean() * len(variances) / n_documents
    scales = (np.maximum(variances, 0) + max(ridge, 1e-12)) ** -0.5
    return np.asarray(directions * scales, np.float32)


def l2_normalize(vectors: Vectors) -> Vectors:
    """Rows scaled to unit length; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def whiten(vectors: Vectors, transformer: IndexTransformer) -> Vectors:
    """Whitened document vectors (n, size) of unit length."""
    centred: Vectors = vectors - transformer.centre
    return l2_normalize(centred @ transformer.whitening)


def save_transformer(transformer: IndexTransformer, folder: Path) -> None:
    """Write a transformer as parquet, NumPy and JSON files."""
    for name, idf in (("words", transformer.words), ("titles", transformer.titles)):
        terms = sorted(idf)  # the order of counting differs between processes
        columns = {"term": terms, "idf": [idf[term] for term in terms]}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    np.savez(folder / "whitening.npz", centre=transformer.centre, whitening=transformer.whitening)
    settings = {name: getattr(transformer, name) for name in ("votes", "classes", "rare")}
    store.write_json(folder / "lexicon.json", settings)


@lru_cache(maxsize=2)
def load_transformer(folder: str) -> IndexTransformer:
    """The transformer that `save_transformer` wrote."""
    path = Path(folder)
    with np.load(path / "whitening.npz", allow_pickle=False) as arrays:
        centre, whitening = arrays["centre"], arrays["whitening"]
    return IndexTransformer(
        words=_read_idf(path / "words.parquet"),
        titles=_read_idf(path / "titles.parquet"),
        centre=centre,
        whitening=whitening,
        **store.read_json(path / "lexicon.json"),
    )


def _read_idf(path: Path) -> dict[str, float]:
    columns = pq.read_table(path).to_pydict()
    return dict(zip(columns["term"], columns["idf"], strict=True))
