"""The fitted transformer of the index: IDF weights, vector projections, and their files."""

import math
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.documents import tokens_of
from tasks.core.storage import store
from tasks.recommend.features.proper_names import NAME_WEIGHT
from tasks.recommend.features.title_terms import MAIN, PREFIX

Vectors = NDArray[np.float32]
MIN_RIDGE = 0.1  # of the mean variance, added to each: keeps the noise of rare directions small
MAX_TITLES_OF_WORD = 12  # a single word in more titles than this does not mark a franchise
HIDDEN_SIZE = 64  # principal components of the network's hidden layer; more find nothing more
PROJECTIONS_FILE, HIDDEN_FILE, SETTINGS_FILE = "projections.npz", "hidden.npz", "lexicon.json"
TERM_COLUMNS = ("words", "titles", "people", "keywords", "pooling")


class Projection(NamedTuple):
    """A linear map of vectors (n, size): minus `centre` (size,), times `axes` (size, n_axes)."""

    centre: Vectors
    axes: Vectors

    def unit_vectors(self, vectors: Vectors) -> Vectors:
        """Projected vectors (n, n_axes) of unit length."""
        centred: Vectors = vectors - self.centre
        return l2_normalize(centred @ self.axes)


#: In place of the projection of the hidden layer, as long as the network is not trained.
UNFITTED = Projection(np.zeros(0, np.float32), np.zeros((0, 0), np.float32))


class IndexTransformer(NamedTuple):
    """Fitted statistics that turn texts and vectors into index features.

    `words`, `titles`, `people` and `keywords` are inverse document frequencies by term; `rare` is
    that of a term outside them. `pooling` are the weights of Doc2Vec's words in the vector of a
    story, `content` whitens these vectors, `hidden` reduces the hidden layer of the genre network,
    `affinity` (n_genres, n_genres) is the `genre_affinity`.
    `votes` is the mean popularity prior, used where the vote count is unknown. `classes` are the
    genres of the columns of a genre vector. `with_keywords`: keywords are a feature.
    """

    words: dict[str, float]
    titles: dict[str, float]
    people: dict[str, float]
    keywords: dict[str, float]
    pooling: dict[str, float]
    content: Projection
    hidden: Projection
    affinity: Vectors
    votes: float
    classes: list[str]
    rare: float
    with_keywords: bool


def smooth_idf(document_frequencies: Mapping[str, int], n_documents: int) -> dict[str, float]:
    """Inverse document frequency log((1 + n) / (1 + df)) + 1 of each term, as in scikit-learn."""
    return {
        term: math.log((1 + n_documents) / (1 + frequency)) + 1
        for term, frequency in document_frequencies.items()
    }


def discount_names(idf: Mapping[str, float], names: Set[str]) -> dict[str, float]:
    """IDF of words and bigrams (`first_second`), reduced for each proper name in them."""
    is_name = names.__contains__  # map: a generator takes three times as long for a million terms
    return {
        term: weight * NAME_WEIGHT ** sum(map(is_name, term.split("_")))
        for term, weight in idf.items()
    }


def title_idf(document_frequencies: Mapping[str, int], n_movies: int) -> dict[str, float]:
    """IDF of `title_terms`; 0 for single words that are common in titles."""
    idf = smooth_idf(document_frequencies, n_movies)
    for term, frequency in document_frequencies.items():
        is_single_word = not term.startswith((MAIN, PREFIX)) and " " not in term
        if is_single_word and frequency > MAX_TITLES_OF_WORD:
            idf[term] = 0.0
    return idf


def tfidf_weights(terms: Sequence[str], idf: Mapping[str, float], rare: float) -> dict[str, float]:
    """TF-IDF weights (1 + log tf) × idf of a document's terms, scaled to unit length.

    `rare` is the IDF of terms that are not in `idf`; terms with an IDF of 0 are left out.
    """
    weights = {
        term: (1 + math.log(count)) * idf.get(term, rare) for term, count in Counter(terms).items()
    }
    norm = sum(weight**2 for weight in weights.values()) ** 0.5
    return {term: weight / norm for term, weight in weights.items() if weight}


def single_words(document: str) -> list[str]:
    """The single words of a document, without its bigrams."""
    return [token for token in tokens_of(document) if "_" not in token]


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


def whitening_projection(parts: Iterable[Vectors]) -> Projection:
    """PCA whitening of vectors that come in parts: uncorrelated axes of equal variance.

    The variances are shrunk towards their mean, more so for few documents, because directions that
    hardly vary in a small sample would be amplified.
    """
    mean, covariance, n_documents = mean_and_covariance(parts)
    variances, directions = np.linalg.eigh(covariance)
    ridge = variances.mean() * max(MIN_RIDGE, len(variances) / n_documents)
    scales = (np.maximum(variances, 0) + max(ridge, 1e-12)) ** -0.5
    return Projection(mean, np.asarray(directions * scales, np.float32))


def principal_projection(parts: Iterable[Vectors], size: int = HIDDEN_SIZE) -> Projection:
    """The first `size` principal components of vectors that come in parts."""
    mean, covariance, _ = mean_and_covariance(parts)
    directions = np.linalg.eigh(covariance).eigenvectors[:, -size:]  # ascending variances
    return Projection(mean, np.ascontiguousarray(directions, np.float32))


def l2_normalize(vectors: Vectors) -> Vectors:
    """Rows scaled to unit length; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def save_transformer(transformer: IndexTransformer, folder: Path) -> None:
    """Write a transformer as parquet, NumPy and JSON files."""
    for name in TERM_COLUMNS:
        idf = getattr(transformer, name)
        terms = sorted(idf)  # the order of counting differs between processes
        weights = pa.array([idf[term] for term in terms], pa.float64())
        table = pa.table({"term": pa.array(terms, pa.string()), "idf": weights})
        pq.write_table(table, folder / f"{name}.parquet")
    content = _arrays_of("content", transformer.content)
    arrays = content | {"affinity": transformer.affinity}
    np.savez(folder / PROJECTIONS_FILE, allow_pickle=False, **arrays)
    save_hidden(transformer.hidden, folder)
    names = ("votes", "classes", "rare", "with_keywords")
    store.write_json(folder / SETTINGS_FILE, {name: getattr(transformer, name) for name in names})


def copy_files(source: Path, target: Path) -> None:
    """Copy what `save_transformer` wrote to another folder, without times and permissions."""
    names = [*(f"{name}.parquet" for name in TERM_COLUMNS), PROJECTIONS_FILE, SETTINGS_FILE]
    for name in names:
        shutil.copyfile(source / name, target / name)


def save_hidden(projection: Projection, folder: Path) -> None:
    """Write the projection of the network's hidden layer."""
    np.savez(folder / HIDDEN_FILE, allow_pickle=False, **_arrays_of("hidden", projection))


def _arrays_of(name: str, projection: Projection) -> dict[str, Any]:
    return {f"{name}_centre": projection.centre, f"{name}_axes": projection.axes}


@lru_cache(maxsize=2)
def load_transformer(folder: str) -> IndexTransformer:
    """The transformer that `save_transformer` wrote."""
    path = Path(folder)
    with np.load(path / PROJECTIONS_FILE, allow_pickle=False) as file:
        arrays = dict(file)
    if "hidden_axes" not in arrays:  # earlier versions have both projections in one file
        with np.load(path / HIDDEN_FILE, allow_pickle=False) as file:
            arrays |= dict(file)
    content, hidden = (
        Projection(arrays[f"{name}_centre"], arrays[f"{name}_axes"])
        for name in ("content", "hidden")
    )
    settings: dict[str, Any] = store.read_json(path / SETTINGS_FILE)
    terms = {name: _read_idf(path / f"{name}.parquet") for name in TERM_COLUMNS}
    return IndexTransformer(
        content=content, hidden=hidden, affinity=arrays["affinity"], **(settings | terms)
    )


def _read_idf(path: Path) -> dict[str, float]:
    columns = pq.read_table(path).to_pydict()
    return dict(zip(columns["term"], columns["idf"], strict=True))
