"""Documents, vectors, genres -> what movies are compared by: rows of the index, and the lexicon."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import (
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    RowsRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.storage import store
from tasks.core.text import fold, normalize_overview, title_words
from tasks.recommend.scoring import popularity_prior

VERSION = 2
MOVIE_COLUMNS = [
    "source",
    "id",
    "title",
    "year",
    "genres",
    "keywords",
    "overview",
    "language",
    "collection",
    "vote_count",
]
REFRESHED = "refreshed"  # column: whether `refresh` added the movie, which no training has read
#: Columns worth a dictionary.
REPEATING = ["source", "language", "genres.list.element", "keywords.list.element"]
Vectors = NDArray[np.float32]
Counts = Mapping[str, int]


class IndexTransformer(NamedTuple):
    """What turns a text and its vectors into something that can be compared.

    `words` and `titles` are inverse document frequencies; a document vector minus `centre`
    (size,), times `whitening` (size, size), has uncorrelated dimensions of equal variance.
    """

    words: dict[str, float]
    titles: dict[str, float]
    centre: Vectors
    whitening: Vectors
    votes: float
    classes: list[str]
    rare: float


def smooth_idf(counts: Counts, documents: int) -> dict[str, float]:
    """log((1 + n) / (1 + df)) + 1 of each term, as scikit-learn smooths it."""
    return {term: math.log((1 + documents) / (1 + found)) + 1 for term, found in counts.items()}


def tfidf_weights(
    terms: Sequence[str], frequencies: Mapping[str, float], rare: float
) -> dict[str, float]:
    """TF-IDF weights of a document's terms, (1 + log tf) × idf at length one.

    A term that the lexicon does not know gets the frequency `rare`.
    """
    weights = {
        term: (1 + math.log(times)) * frequencies.get(term, rare)
        for term, times in Counter(terms).items()
    }
    length = sum(weight**2 for weight in weights.values()) ** 0.5
    return {term: weight / length for term, weight in weights.items()}


def whitening_of(covariance: NDArray[np.float64], documents: int) -> Vectors:
    """PCA whitening (size, size) of vectors whose covariance was measured on so many documents.

    Shrunk towards equal variances as far as there are few documents for the dimensions: directions
    that hardly vary in them by chance are not blown up.
    """
    variances, directions = np.linalg.eigh(covariance)
    ridge = variances.mean() * len(variances) / documents
    rates = (np.maximum(variances, 0) + max(ridge, 1e-12)) ** -0.5
    return np.asarray(directions * rates, np.float32)


def mean_and_covariance(parts: Iterable[Vectors]) -> tuple[Vectors, NDArray[np.float64], int]:
    """Mean and covariance of vectors that come some at a time, and their number."""
    count, total, squares = 0, np.zeros(1), np.zeros((1, 1))
    for part in parts:
        wide = part.astype(np.float64)
        count, total, squares = count + len(wide), total + wide.sum(axis=0), squares + wide.T @ wide
    mean = total / count
    covariance = np.asarray(squares / count - np.outer(mean, mean))
    return np.asarray(mean, np.float32), covariance, count


def l2_normalize(vectors: Vectors) -> Vectors:
    """Rows scaled to length one; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def whiten(vectors: Vectors, lexicon: IndexTransformer) -> Vectors:
    """Whitened document vectors of length one."""
    centred: Vectors = vectors - lexicon.centre
    return l2_normalize(centred @ lexicon.whitening)


def single_words(document: str) -> list[str]:
    """The single words of a document, pairs of neighbours left out."""
    return [token for token in document.split() if "_" not in token]


def genre_features(labels: NDArray[np.uint8], probabilities: Vectors) -> Vectors:
    """Known genres as 0 and 1; the classifier's probabilities where none is known."""
    known = labels.any(axis=1, keepdims=True)
    return np.where(known, labels, probabilities).astype(np.float32)


def _weights_column(
    documents: Iterable[Sequence[str]], frequencies: Mapping[str, float], rare: float, name: str
) -> dict[str, pa.Array]:
    rows = [tfidf_weights(terms, frequencies, rare) for terms in documents]
    weights = [list(row.values()) for row in rows]
    return {
        name: pa.array([list(row) for row in rows], pa.list_(pa.string())),
        f"{name}_weights": pa.array(weights, pa.list_(pa.float32())),
    }


def index_rows(
    movies: pa.Table,
    documents: Sequence[str],
    vectors: Vectors,
    genres: Vectors,
    lexicon: IndexTransformer,
) -> pa.Table:
    """Rows of the index from movies (`MOVIE_COLUMNS`), their documents, vectors and genres.

    `genres` (n, n_genres) are 0 and 1, or probabilities where none is known.
    """
    titles = movies["title"].to_pylist()
    content = whiten(vectors, lexicon)
    columns: dict[str, pa.Array] = {
        "title_key": pa.array([fold(title) for title in titles], pa.string()),
        "overview_key": pa.array(
            [
                store.sha256([normalize_overview(text).encode()])[:16]
                for text in movies["overview"].to_pylist()
            ]
        ),
        "votes": pa.array(popularity_prior(movies["vote_count"].to_pylist(), lexicon.votes)),
        "content": store.vectors_table(movies["id"], content)["embedding"].combine_chunks(),
        "genre_vector": store.vectors_table(movies["id"], l2_normalize(genres))[
            "embedding"
        ].combine_chunks(),
        **_weights_column(map(single_words, documents), lexicon.words, lexicon.rare, "words"),
        **_weights_column(map(title_words, titles), lexicon.titles, lexicon.rare, "title_words"),
    }
    columns[REFRESHED] = pa.array([False] * movies.num_rows)
    for name, column in columns.items():
        movies = movies.append_column(name, column)
    return movies


def count_terms(
    documents: Iterable[pa.Table],
) -> tuple[Counter[str], Counter[str], list[float], int]:
    """How many movies have each word, how many each title word; priors of known votes; movies."""
    words, titles, votes, count = Counter[str](), Counter[str](), list[float](), 0
    for table in documents:
        for document in table["document"].to_pylist():
            words.update(set(single_words(document)))
        for title in table["title"].to_pylist():
            titles.update(set(title_words(title)))
        votes += popularity_prior(known_votes(table), 0.0).tolist()
        count += table.num_rows
    return words, titles, votes, count


def known_votes(movies: pa.Table) -> list[int]:
    """Vote counts where there are any."""
    counts: list[int] = movies["vote_count"].drop_null().to_pylist()
    return counts


def save_transformer(lexicon: IndexTransformer, folder: Path) -> None:
    """Write a lexicon as parquet, arrays and JSON."""
    for name, frequencies in (("words", lexicon.words), ("titles", lexicon.titles)):
        terms = sorted(frequencies)  # counted in the order of a set, which no two processes share
        columns = {"term": terms, "idf": [frequencies[term] for term in terms]}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    np.savez(folder / "whitening.npz", centre=lexicon.centre, whitening=lexicon.whitening)
    rest = {"votes": lexicon.votes, "classes": lexicon.classes, "rare": lexicon.rare}
    store.write_json(folder / "lexicon.json", rest)


@lru_cache(maxsize=2)
def load_transformer(folder: str) -> IndexTransformer:
    """What `save_lexicon` wrote."""
    where = Path(folder)
    words, titles = (
        dict(zip(*pq.read_table(where / f"{name}.parquet").to_pydict().values(), strict=True))
        for name in ("words", "titles")
    )
    with np.load(where / "whitening.npz", allow_pickle=False) as arrays:
        centre, whitening = arrays["centre"], arrays["whitening"]
    rest = store.read_json(where / "lexicon.json")
    return IndexTransformer(words, titles, centre, whitening, **rest)


def _lexicon(
    documents: DocumentsRef, vectors: VectorsRef, labels: LabelsRef, writer: store.EntryWriter
) -> TransformerRef:
    tables = store.chunks(documents, ["title", "vote_count", "document"])
    words, titles, votes, count = count_terms(tables)
    splits = (np.array(part["split"].to_pylist()) for part in store.chunks(documents, ["split"]))
    parts = zip(map(store.matrix, store.chunks(vectors)), splits, strict=True)
    centre, covariance, trained = mean_and_covariance(
        part[split == "train"] for part, split in parts
    )
    lexicon = IndexTransformer(
        smooth_idf(words, count),
        smooth_idf(titles, count),
        centre,
        whitening_of(covariance, trained),
        float(np.mean(votes)) if votes else 0.0,
        store.read_labels(labels)[1],
        rare=smooth_idf({"": 1}, count)[""],
    )
    save_transformer(lexicon, writer.folder)
    return writer.folder_ref(TransformerRef, documents.rows)


def _rows(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    lexicon: TransformerRef,
    writer: store.EntryWriter,
) -> RowsRef:
    known = load_transformer(str(store.locate(lexicon)))
    predicted = np.load(store.locate(probabilities), allow_pickle=False)
    genres = genre_features(store.read_labels(labels)[0], predicted)
    parquet: pq.ParquetWriter | None = None
    for table in _chunks_described(documents, vectors, genres, known):
        parquet = parquet or pq.ParquetWriter(
            writer.folder / "rows.parquet", table.schema, use_dictionary=REPEATING
        )
        parquet.write_table(table)
    if parquet:
        parquet.close()
    return writer.file_ref(RowsRef, "rows.parquet", documents.rows)


def _chunks_described(
    documents: DocumentsRef, vectors: VectorsRef, genres: Vectors, lexicon: IndexTransformer
) -> Iterator[pa.Table]:
    first, parts = 0, map(store.matrix, store.chunks(vectors))
    for table, part in zip(store.chunks(documents), parts, strict=True):
        own = genres[first : first + table.num_rows]
        texts = table["document"].to_pylist()
        yield index_rows(table.select(MOVIE_COLUMNS), texts, part, own, lexicon)
        first += table.num_rows


@task(name="fit-lexicon", cache_policy=NO_CACHE)
def fit_transformer(
    documents: DocumentsRef, vectors: VectorsRef, labels: LabelsRef, compute: Compute
) -> TransformerRef:
    """Weigh the words of the catalogue; find what makes vectors comparable."""
    given = (documents, vectors, labels)
    return store.get_or_create(
        "lexicon",
        [VERSION, *(of.digest for of in given)],
        TransformerRef,
        lambda writer: run_stage(compute, _lexicon, *given, writer),
    )


@task(name="describe", cache_policy=NO_CACHE)
def build_index_rows(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    lexicon: TransformerRef,
    compute: Compute,
) -> RowsRef:
    """Rows of the index: every movie with what it is found and compared by."""
    given = (documents, vectors, labels, probabilities, lexicon)
    ref = store.get_or_create(
        "rows",
        [VERSION, *(of.digest for of in given)],
        RowsRef,
        lambda writer: run_stage(compute, _rows, *given, writer),
    )
    get_run_logger().info("%d movies described", ref.rows)
    return ref
