"""Documents, vectors and genres -> index rows: each movie with the features it is compared by."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    RowsRef,
    TextFeaturesRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.documents import tokens_of
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.text import fold, normalize_overview
from tasks.embedding.pooling import WordWeights, load_weights, weighted_vectors
from tasks.genres.inference import Classifier, hidden_units, load_classifier
from tasks.recommend.features.genre_affinity import genre_affinity
from tasks.recommend.features.index_transformer import (
    UNFITTED,
    IndexTransformer,
    Vectors,
    copy_files,
    discount_names,
    l2_normalize,
    load_transformer,
    principal_projection,
    save_hidden,
    save_transformer,
    single_words,
    smooth_idf,
    tfidf_weights,
    title_idf,
    whitening_projection,
)
from tasks.recommend.features.proper_names import common_names, count_capitalised
from tasks.recommend.features.title_terms import title_terms
from tasks.recommend.scoring import popularity_prior

MOVIE_COLUMNS = [
    "source",
    "id",
    "imdb_id",
    "title",
    "year",
    "genres",
    "keywords",
    "people",
    "overview",
    "language",
    "collection",
    "vote_count",
]
REFRESHED = "refreshed"  # column: whether `refresh` added the movie without training on it
#: Columns with few distinct values, written as dictionaries.
DICTIONARY_COLUMNS = [
    "source",
    "language",
    "genres.list.element",
    "keywords.list.element",
    "people.list.element",
]


@dataclass
class TermCounts:
    """Document frequencies of all kinds of terms, and the popularity priors, of movies."""

    movies: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    titles: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    keywords: Counter[str] = field(default_factory=Counter)
    capitalised: Counter[str] = field(default_factory=Counter)
    after_preposition: Counter[str] = field(default_factory=Counter)
    priors: list[float] = field(default_factory=list)

    def add(self, documents: pa.Table) -> None:
        """Count documents (`DOCUMENTS`)."""
        self.movies += documents.num_rows
        for document in documents["document"].to_pylist():
            self.tokens.update(set(tokens_of(document)))
        for title in documents["title"].to_pylist():
            self.titles.update(set(title_terms(title)))
        for name in ("people", "keywords"):
            for terms in documents[name].to_pylist():
                getattr(self, name).update(set(terms))
        capitalised, after_preposition = count_capitalised(documents["overview"].to_pylist())
        self.capitalised.update(capitalised)
        self.after_preposition.update(after_preposition)
        votes = documents["vote_count"].drop_null().to_pylist()
        self.priors += popularity_prior(votes, 0.0).tolist()


def genre_features(labels: NDArray[np.uint8], probabilities: Vectors) -> Vectors:
    """Genres (n, n_genres): the labels as 0 and 1, or the probabilities of an unlabelled movie."""
    is_labelled = labels.any(axis=1, keepdims=True)
    return np.where(is_labelled, labels, probabilities).astype(np.float32)


class FeatureModels(NamedTuple):
    """The models of one run that compute the features of a movie or text."""

    weights: WordWeights
    network: Classifier
    transformer: IndexTransformer

    def content(self, documents: Sequence[str]) -> Vectors:
        """Whitened vectors (n, size) of documents: Doc2Vec's words, pooled by squared IDF."""
        pooled = weighted_vectors(self.weights, documents, self.transformer.pooling)
        return self.transformer.content.unit_vectors(pooled)

    def hidden(self, documents: Sequence[str], vectors: Vectors) -> Vectors:
        """Reduced hidden layer (n, n_axes) of the genre network for documents and their vectors."""
        units = hidden_units(self.network, documents, vectors)
        return self.transformer.hidden.unit_vectors(units)

    def affinities(self, genres: Vectors) -> Vectors:
        """Similarity (n, n_genres) of movies with these `genre_features` to each genre."""
        return l2_normalize(genres) @ self.transformer.affinity

    def index_rows(
        self, movies: pa.Table, documents: Sequence[str], vectors: Vectors, genres: Vectors
    ) -> pa.Table:
        """Index rows of movies: the `MOVIE_COLUMNS`, keys, features and `REFRESHED`.

        `documents` are their texts, `vectors` (n, size) their document vectors, `genres`
        (n, n_genres) their `genre_features`.
        """
        titles, overviews = movies["title"].to_pylist(), movies["overview"].to_pylist()
        priors = popularity_prior(movies["vote_count"].to_pylist(), self.transformer.votes)
        columns: dict[str, pa.Array] = {
            "title_key": pa.array(map(fold, titles), pa.string()),
            "overview_key": pa.array(map(_overview_key, overviews), pa.string()),
            "votes": pa.array(priors),
            "content": _vector_column(movies["id"], self.content(documents)),
            "hidden": _vector_column(movies["id"], self.hidden(documents, vectors)),
            "genre_vector": _vector_column(movies["id"], l2_normalize(genres)),
            "genre_affinity": _vector_column(movies["id"], self.affinities(genres)),
            **_term_columns(movies, documents, self.transformer),
            REFRESHED: pa.array([False] * movies.num_rows),
        }
        for name, column in columns.items():
            movies = movies.append_column(name, column)
        return movies


def load_feature_models(doc2vec: Path, classifier: Classifier, transformer: Path) -> FeatureModels:
    """The models of one run: those in its folders, and its loaded classifier."""
    return FeatureModels(load_weights(str(doc2vec)), classifier, load_transformer(str(transformer)))


def _term_columns(
    movies: pa.Table, documents: Sequence[str], transformer: IndexTransformer
) -> dict[str, pa.Array]:
    titles = map(title_terms, movies["title"].to_pylist())
    people, keywords = (movies[name].to_pylist() for name in ("people", "keywords"))
    if not transformer.with_keywords:  # they judge the lists instead
        keywords = [[]] * movies.num_rows
    rare = transformer.rare
    return {
        **tfidf_columns("words", map(single_words, documents), transformer.words, rare),
        **tfidf_columns("title_words", titles, transformer.titles, rare),
        **tfidf_columns("people_terms", people, transformer.people, rare),
        **tfidf_columns("keyword_terms", keywords, transformer.keywords, rare),
    }


def tfidf_columns(
    name: str, documents: Iterable[Sequence[str]], idf: Mapping[str, float], rare: float
) -> dict[str, pa.Array]:
    """Columns `name` and `name_weights`: the terms of each document and their TF-IDF weights."""
    rows = [tfidf_weights(terms, idf, rare) for terms in documents]
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


def count_terms(documents: Iterable[pa.Table]) -> TermCounts:
    """Counts of the documents of the training split (`DOCUMENTS`)."""
    counts = TermCounts()
    for table in documents:
        counts.add(table.filter(pc.equal(table["split"], "train")))
    return counts


class FittedTerms(NamedTuple):
    """IDF weights by kind of term; the fields are those of `IndexTransformer`."""

    words: dict[str, float]
    titles: dict[str, float]
    people: dict[str, float]
    keywords: dict[str, float]
    pooling: dict[str, float]
    votes: float
    rare: float


def fit_terms(counts: TermCounts, vocabulary: Mapping[str, int]) -> FittedTerms:
    """IDF weights of counted terms; `vocabulary` has the words of the Doc2Vec model."""
    capitals = (counts.capitalised, counts.after_preposition)
    names = common_names(capitals, counts.tokens, counts.movies)
    idf = discount_names(smooth_idf(counts.tokens, counts.movies), names)
    return FittedTerms(
        words={term: weight for term, weight in idf.items() if "_" not in term},
        titles=title_idf(counts.titles, counts.movies),
        people=smooth_idf(counts.people, counts.movies),
        keywords=smooth_idf(counts.keywords, counts.movies),
        pooling={term: idf[term] ** 2 for term in vocabulary if term in idf},
        votes=float(np.mean(counts.priors)) if counts.priors else 0.0,
        rare=smooth_idf({"": 1}, counts.movies)[""],
    )


def _fit_texts(
    documents: DocumentsRef, labels: LabelsRef, doc2vec: Doc2VecRef, writer: store.EntryWriter
) -> TextFeaturesRef:
    folder = store.locate(doc2vec)
    weights = load_weights(str(folder))
    terms = fit_terms(count_terms(store.chunks(documents)), weights.row_by_word)
    indicator, classes = store.read_labels(labels)
    transformer = IndexTransformer(
        **terms._asdict(),
        content=whitening_projection(_train_stories(documents, weights, terms.pooling)),
        hidden=UNFITTED,
        affinity=genre_affinity(indicator[_train_mask(documents)]),
        classes=classes,
        with_keywords=uses_keywords(folder),
    )
    save_transformer(transformer, writer.folder)
    return writer.folder_ref(TextFeaturesRef, documents.rows)


def _fit(
    texts: TextFeaturesRef,
    documents: DocumentsRef,
    vectors: VectorsRef,
    classifier: ClassifierRef,
    writer: store.EntryWriter,
) -> TransformerRef:
    network = load_classifier(store.locate(classifier)).classifier
    units = (hidden_units(network, *part) for part in _train_chunks(documents, vectors))
    hidden = principal_projection(units)
    copy_files(store.locate(texts), writer.folder)
    save_hidden(hidden, writer.folder)
    return writer.folder_ref(TransformerRef, documents.rows)


def uses_keywords(doc2vec_folder: Path) -> bool:
    """Whether a run uses keywords as a feature, so that they cannot judge its lists."""
    return bool(store.read_json(doc2vec_folder / "text.json")["keywords"])


def _train_stories(
    documents: DocumentsRef, weights: WordWeights, pooling: Mapping[str, float]
) -> Iterator[Vectors]:
    """Chunk-wise story vectors of the training split."""
    for table in store.chunks(documents, ["split", "document"]):
        train = table.filter(pc.equal(table["split"], "train"))
        yield weighted_vectors(weights, train["document"].to_pylist(), pooling)


def _train_mask(documents: DocumentsRef) -> NDArray[np.bool_]:
    """Mask (n_documents,) of the training split."""
    mask: NDArray[np.bool_] = pc.equal(
        store.read(documents, ["split"])["split"], "train"
    ).to_numpy()
    return mask


def _train_chunks(
    documents: DocumentsRef, vectors: VectorsRef
) -> Iterator[tuple[list[str], Vectors]]:
    """Chunk-wise documents of the training split and their vectors."""
    matrices = map(store.matrix, store.chunks(vectors))
    for table, matrix in zip(store.chunks(documents, ["split", "document"]), matrices, strict=True):
        is_train = pc.equal(table["split"], "train")
        yield table["document"].filter(is_train).to_pylist(), matrix[is_train.to_numpy()]


def _build(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    models: tuple[Doc2VecRef, ClassifierRef, TransformerRef],
    writer: store.EntryWriter,
) -> RowsRef:
    predicted = np.load(store.locate(probabilities), allow_pickle=False)
    genres = genre_features(store.read_labels(labels)[0], predicted)
    doc2vec, classifier, transformer = map(store.locate, models)
    network = load_classifier(classifier).classifier
    loaded = load_feature_models(doc2vec, network, transformer)
    parquet: pq.ParquetWriter | None = None
    for table in _row_chunks(documents, vectors, genres, loaded):
        parquet = parquet or pq.ParquetWriter(
            writer.folder / "rows.parquet", table.schema, use_dictionary=DICTIONARY_COLUMNS
        )
        parquet.write_table(table)
    if parquet:
        parquet.close()
    return writer.file_ref(RowsRef, "rows.parquet", documents.rows)


def _row_chunks(
    documents: DocumentsRef, vectors: VectorsRef, genres: Vectors, models: FeatureModels
) -> Iterator[pa.Table]:
    start, matrices = 0, map(store.matrix, store.chunks(vectors))
    for table, matrix in zip(store.chunks(documents), matrices, strict=True):
        stop = start + table.num_rows
        movies, texts = table.select(MOVIE_COLUMNS), table["document"].to_pylist()
        yield models.index_rows(movies, texts, matrix, genres[start:stop])
        start = stop


@stage_task("fit-text-features")
def fit_text_features(
    documents: DocumentsRef, labels: LabelsRef, doc2vec: Doc2VecRef, compute: Compute
) -> TextFeaturesRef:
    """Fit the index transformer without its projection of the network's hidden layer.

    This takes most of the time, and is done while the network is trained.
    """
    return store.get_or_create(
        "text-features",
        [documents.digest, labels.digest, doc2vec.digest],
        TextFeaturesRef,
        lambda writer: run_stage(compute, _fit_texts, documents, labels, doc2vec, writer),
    )


@stage_task("fit-transformer")
def fit_transformer(
    texts: TextFeaturesRef,
    documents: DocumentsRef,
    vectors: VectorsRef,
    classifier: ClassifierRef,
    compute: Compute,
) -> TransformerRef:
    """Complete the index transformer of `fit_text_features`."""
    inputs = (texts, documents, vectors, classifier)
    return store.get_or_create(
        "lexicon",
        [*(ref.digest for ref in inputs)],
        TransformerRef,
        lambda writer: run_stage(compute, _fit, *inputs, writer),
    )


@stage_task("build-index-rows")
def build_index_rows(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    lexicon: TransformerRef,
    compute: Compute,
) -> RowsRef:
    """Index rows of all movies of a run."""
    models = (doc2vec, classifier, lexicon)
    inputs = (documents, vectors, labels, probabilities, *models)
    rows = store.get_or_create(
        "rows",
        [*(ref.digest for ref in inputs)],
        RowsRef,
        lambda writer: run_stage(
            compute, _build, documents, vectors, labels, probabilities, models, writer
        ),
    )
    get_run_logger().info("%d index rows built", rows.rows)
    return rows
