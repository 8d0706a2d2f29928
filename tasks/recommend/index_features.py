"""Documents, vectors and genres -> index rows: each movie with the features it is compared by."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
from tasks.recommend.index_transformer import (
    IndexTransformer,
    Vectors,
    l2_normalize,
    load_transformer,
    mean_and_covariance,
    save_transformer,
    single_words,
    smooth_idf,
    tfidf_weights,
    whiten,
    whitening_matrix,
)
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
REFRESHED = "refreshed"  # column: whether `refresh` added the movie without training on it
#: Columns with few distinct values, written as dictionaries.
DICTIONARY_COLUMNS = ["source", "language", "genres.list.element", "keywords.list.element"]


def genre_features(labels: NDArray[np.uint8], probabilities: Vectors) -> Vectors:
    """Genres (n, n_genres): the labels as 0 and 1, or the probabilities of an unlabelled movie."""
    is_labelled = labels.any(axis=1, keepdims=True)
    return np.where(is_labelled, labels, probabilities).astype(np.float32)


def index_rows(
    movies: pa.Table,
    documents: Sequence[str],
    vectors: Vectors,
    genres: Vectors,
    transformer: IndexTransformer,
) -> pa.Table:
    """Index rows of movies: the `MOVIE_COLUMNS`, keys, features and `REFRESHED`.

    `documents` are their tokenised texts, `vectors` (n, size) their document vectors, `genres`
    (n, n_genres) their `genre_features`.
    """
    titles = movies["title"].to_pylist()
    words = tfidf_columns("words", map(single_words, documents), transformer.words, transformer)
    title_terms = map(title_words, titles)
    columns: dict[str, pa.Array] = {
        "title_key": pa.array(map(fold, titles), pa.string()),
        "overview_key": pa.array(map(_overview_key, movies["overview"].to_pylist())),
        "votes": pa.array(popularity_prior(movies["vote_count"].to_pylist(), transformer.votes)),
        "content": _vector_column(movies["id"], whiten(vectors, transformer)),
        "genre_vector": _vector_column(movies["id"], l2_normalize(genres)),
        **words,
        **tfidf_columns("title_words", title_terms, transformer.titles, transformer),
        REFRESHED: pa.array([False] * movies.num_rows),
    }
    for name, column in columns.items():
        movies = movies.append_column(name, column)
    return movies


def tfidf_columns(
    name: str,
    documents: Iterable[Sequence[str]],
    idf: Mapping[str, float],
    transformer: IndexTransformer,
) -> dict[str, pa.Array]:
    """Columns `name` and `name_weights`: the terms of each document and their TF-IDF weights."""
    rows = [tfidf_weights(terms, idf, transformer.rare) for terms in documents]
    terms = [list(row) for row in rows]
    weights = [list(row.values()) for row in rows]
    return {
        name: pa.array(terms, pa.list_(pa.string())),
        f"{name}_weights": pa.array(weights, pa.list_(pa.float32())),
    }


def _overview_key(overview: str) -> str:
    return store.sha256([normalize_overview(overview).encode()])[:16]


def _vector_column(ids: pa.ChunkedArray, vectors: Vectors) -> pa.Array:
    return store.vectors_table(ids, vectors)["embedding"].combine_chunks()


def count_terms(
    documents: Iterable[pa.Table],
) -> tuple[Counter[str], Counter[str], list[float], int]:
    """Document frequencies of words and of title words, popularity priors, number of movies."""
    words, titles, priors, count = Counter[str](), Counter[str](), list[float](), 0
    for table in documents:
        for document in table["document"].to_pylist():
            words.update(set(single_words(document)))
        for title in table["title"].to_pylist():
            titles.update(set(title_words(title)))
        priors += popularity_prior(table["vote_count"].drop_null().to_pylist(), 0.0).tolist()
        count += table.num_rows
    return words, titles, priors, count


def _fit(
    documents: DocumentsRef, vectors: VectorsRef, labels: LabelsRef, writer: store.EntryWriter
) -> TransformerRef:
    tables = store.chunks(documents, ["title", "vote_count", "document"])
    words, titles, priors, count = count_terms(tables)
    centre, covariance, n_train = mean_and_covariance(_train_vectors(documents, vectors))
    transformer = IndexTransformer(
        words=smooth_idf(words, count),
        titles=smooth_idf(titles, count),
        centre=centre,
        whitening=whitening_matrix(covariance, n_train),
        votes=float(np.mean(priors)) if priors else 0.0,
        classes=store.read_labels(labels)[1],
        rare=smooth_idf({"": 1}, count)[""],
    )
    save_transformer(transformer, writer.folder)
    return writer.folder_ref(TransformerRef, documents.rows)


def _train_vectors(documents: DocumentsRef, vectors: VectorsRef) -> Iterator[Vectors]:
    """Chunk-wise document vectors of the training split."""
    matrices = map(store.matrix, store.chunks(vectors))
    for table, matrix in zip(store.chunks(documents, ["split"]), matrices, strict=True):
        yield matrix[np.array(table["split"].to_pylist()) == "train"]


def _build(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    transformer: TransformerRef,
    writer: store.EntryWriter,
) -> RowsRef:
    predicted = np.load(store.locate(probabilities), allow_pickle=False)
    genres = genre_features(store.read_labels(labels)[0], predicted)
    fitted = load_transformer(str(store.locate(transformer)))
    parquet: pq.ParquetWriter | None = None
    for table in _row_chunks(documents, vectors, genres, fitted):
        parquet = parquet or pq.ParquetWriter(
            writer.folder / "rows.parquet", table.schema, use_dictionary=DICTIONARY_COLUMNS
        )
        parquet.write_table(table)
    if parquet:
        parquet.close()
    return writer.file_ref(RowsRef, "rows.parquet", documents.rows)


def _row_chunks(
    documents: DocumentsRef, vectors: VectorsRef, genres: Vectors, transformer: IndexTransformer
) -> Iterator[pa.Table]:
    start, matrices = 0, map(store.matrix, store.chunks(vectors))
    for table, matrix in zip(store.chunks(documents), matrices, strict=True):
        stop = start + table.num_rows
        movies, texts = table.select(MOVIE_COLUMNS), table["document"].to_pylist()
        yield index_rows(movies, texts, matrix, genres[start:stop], transformer=transformer)
        start = stop


@task(name="fit-transformer", cache_policy=NO_CACHE)
def fit_transformer(
    documents: DocumentsRef, vectors: VectorsRef, labels: LabelsRef, compute: Compute
) -> TransformerRef:
    """Fit the index transformer: IDF on all movies, whitening on the training split."""
    return store.get_or_create(
        "lexicon",
        [VERSION, documents.digest, vectors.digest, labels.digest],
        TransformerRef,
        lambda writer: run_stage(compute, _fit, documents, vectors, labels, writer),
    )


@task(name="build-index-rows", cache_policy=NO_CACHE)
def build_index_rows(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    lexicon: TransformerRef,
    compute: Compute,
) -> RowsRef:
    """Index rows of all movies of a run."""
    inputs = (documents, vectors, labels, probabilities, lexicon)
    rows = store.get_or_create(
        "rows",
        [VERSION, *(ref.digest for ref in inputs)],
        RowsRef,
        lambda writer: run_stage(
            compute, _build, documents, vectors, labels, probabilities, lexicon, writer
        ),
    )
    get_run_logger().info("%d index rows built", rows.rows)
    return rows
