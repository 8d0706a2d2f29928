"""Documents and labels -> a linear model of genres: TF-IDF and one logistic regression per genre.

It is the baseline that the classifier is compared with, and one of the models that the classifier
averages. It is stored as arrays.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import DocumentsRef, LabelsRef, LinearRef, UserError
from tasks.core.documents import title_words_of, tokens_of
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.preprocess import TEXT_COLUMNS, TextConfig, add_bigrams, build_documents
from tasks.genres.metrics import Labels, find_best_threshold

Array = NDArray[np.float32]
SEED = 42


class BaselineConfig(StrictConfig):
    """Settings of the linear model: the TF-IDF baseline, and a part of the classifier."""

    tfidf_c: tuple[float, ...] = Field(
        (1.0, 2.0, 4.0, 8.0),
        min_length=1,
        description="Inverse regularisation strengths (C) of the TF-IDF model; the one with the "
        "best micro F1 on validation movies is used",
    )
    tfidf_min_df: int = Field(
        2, ge=1, description="Minimum training movies that contain a term of the TF-IDF model"
    )

    @field_validator("tfidf_c")
    @classmethod
    def _require_positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if min(values) <= 0:
            raise ValueError("each C must be above 0")
        return values


class LabelledTexts(NamedTuple):
    """Labelled movies of a split: n documents, and labels (n, n_genres)."""

    texts: list[str]
    labels: Labels


class LinearModel(NamedTuple):
    """TF-IDF of n terms, `weight` (n_terms, n_genres), `bias` (n_genres,), and the C chosen."""

    vectorizer: TfidfVectorizer
    weight: Array
    bias: Array
    c: float

    def logits(self, texts: Sequence[str]) -> Array:
        """Logits (n, n_genres) of documents."""
        if not len(texts):  # scikit-learn refuses none
            return np.zeros((0, len(self.bias)), np.float32)
        logits: Array = self.vectorizer.transform(texts) @ self.weight + self.bias
        return logits


def terms_of(document: str) -> list[str]:
    """Tokens of a document, then words and bigrams of its title: `haunt ship title:haunted`.

    A word says more in a title. There, stop words and endings are informative, too.
    """
    title_terms = add_bigrams(title_words_of(document))
    return [*tokens_of(document), *(f"title:{term}" for term in title_terms)]


def new_vectorizer(**settings: object) -> TfidfVectorizer:
    """TF-IDF of the terms of documents, with the logarithm of counts."""
    return TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, dtype=np.float32, **settings)


def fit_vectorizer(texts: list[str], min_df: int) -> TfidfVectorizer:
    """TF-IDF of the terms of at least `min_df` texts.

    Raises:
        UserError: the texts contain no terms.
    """
    vectorizer = new_vectorizer(min_df=min(min_df, len(texts)))
    try:
        return vectorizer.fit(texts)
    except ValueError as error:
        raise UserError(f"The TF-IDF model has no terms to train on ({error}).") from error


def fit_genre(
    features: sp.csr_matrix, labels: NDArray[np.uint8], c: float, positive_power: float
) -> tuple[Array, float]:
    """Weight (n_terms,) and bias of one genre; positives weigh (negatives / positives) ** power.

    `features` are (n, n_terms), `labels` (n,). A genre of all movies or of none is constant.
    """
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        logit = math.log((positives + 0.5) / (len(labels) - positives + 0.5))
        return np.zeros(features.shape[1], np.float32), logit
    weight = ((len(labels) - positives) / positives) ** positive_power
    # The dual problem is solved faster where there are more terms than movies. Its solver visits
    # the movies in random order: without a seed, scores differ from run to run.
    solver = LogisticRegression(
        C=c, solver="liblinear", dual=True, tol=1e-2, random_state=SEED, class_weight={1: weight}
    ).fit(features, labels)
    return solver.coef_[0].astype(np.float32), float(solver.intercept_[0])


def fit_genres(
    vectorizer: TfidfVectorizer,
    features: sp.csr_matrix,
    labels: Labels,
    c: float,
    positive_power: float,
) -> LinearModel:
    """The model of all genres; `features` (n, n_terms) are those of `vectorizer`."""
    with threadpool_limits(1, user_api="blas"):  # more threads would compete with Doc2Vec's
        genres = [fit_genre(features, column, c, positive_power) for column in labels.T]
    weights, biases = zip(*genres, strict=True)
    return LinearModel(vectorizer, np.column_stack(weights), np.array(biases, np.float32), c)


def fit_linear_model(
    train: LabelledTexts, validation: LabelledTexts, config: BaselineConfig, positive_power: float
) -> LinearModel:
    """The model with the C that has the best micro F1 on validation.

    Raises:
        UserError: the training texts contain no terms.
    """
    vectorizer = fit_vectorizer(train.texts, config.tfidf_min_df)
    features = vectorizer.transform(train.texts)
    models = [
        fit_genres(vectorizer, features, train.labels, c, positive_power) for c in config.tfidf_c
    ]
    f1 = [
        find_best_threshold(validation.labels, expit(model.logits(validation.texts))).f1
        for model in models
    ]
    return models[int(np.argmax(f1))]


def save_linear_model(model: LinearModel, folder: Path) -> None:
    """Write terms, IDF and weights, no pickle."""
    terms = pa.array(model.vectorizer.get_feature_names_out().tolist(), pa.string())
    idf = pa.array(model.vectorizer.idf_, pa.float32())
    pq.write_table(pa.table({"term": terms, "idf": idf}), folder / "terms.parquet")
    arrays = {"weight": model.weight, "bias": model.bias, "c": np.array(model.c)}
    np.savez(folder / "linear.npz", allow_pickle=False, **arrays)


def load_linear_model(folder: Path) -> LinearModel:
    """The model that `save_linear_model` wrote to `folder`."""
    table = pq.read_table(folder / "terms.parquet")
    vectorizer = new_vectorizer(vocabulary=table["term"].to_pylist())
    vectorizer.idf_ = table["idf"].to_numpy()
    with np.load(folder / "linear.npz", allow_pickle=False) as arrays:
        return LinearModel(vectorizer, arrays["weight"], arrays["bias"], float(arrays["c"]))


def content_texts(movies: pa.Table, text: TextConfig) -> list[str]:
    """Documents of the classifier, or of the recipe `content` where those contain genres."""
    if text.recipe == "content":
        texts: list[str] = movies["document"].to_pylist()
        return texts
    return build_documents(movies, text.model_copy(update={"recipe": "content"}))


def labelled_splits(
    texts: Sequence[str], splits: Sequence[str], labels: Labels
) -> dict[str, LabelledTexts]:
    """Labelled movies by split.

    Raises:
        UserError: a split has no movie with a learned genre.
    """
    all_texts = np.array(texts, dtype=object)
    movie_splits, labelled = np.array(splits), labels.any(axis=1)
    by_split = {}
    for name in ("train", "validation", "test"):
        rows = (movie_splits == name) & labelled
        if not rows.any():
            raise UserError(f"No movie with a learned genre is in the {name} split: add movies.")
        by_split[name] = LabelledTexts(all_texts[rows].tolist(), labels[rows])
    return by_split


def read_labelled_splits(
    documents: DocumentsRef, labels: LabelsRef, text: TextConfig
) -> dict[str, LabelledTexts]:
    """Labelled movies of the stored documents by split; texts never contain genres.

    Raises:
        UserError: a split has no movie with a learned genre.
    """
    movies = store.read(documents, [*TEXT_COLUMNS, "document", "split"])
    splits = movies["split"].to_pylist()
    return labelled_splits(content_texts(movies, text), splits, store.read_labels(labels)[0])


def _fit(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    positive_power: float,
    text: TextConfig,
    writer: store.EntryWriter,
) -> LinearRef:
    splits = read_labelled_splits(documents, labels, text)
    train, validation = splits["train"], splits["validation"]
    save_linear_model(fit_linear_model(train, validation, config, positive_power), writer.folder)
    return writer.folder_ref(LinearRef, len(train.texts))


@stage_task("fit-linear")
def fit_linear(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    positive_power: float,
    text: TextConfig,
    compute: Compute,
) -> LinearRef:
    """The linear model of the training movies.

    `positive_power` is the classifier's exponent of class weights. That of a large source is fitted
    in a separate process: the task runs at the same time as Doc2Vec training, and the two would
    slow each other down in one interpreter.

    Raises:
        UserError: the texts have no terms, or a split has no movie with a learned genre.
    """
    return store.get_or_create(
        "linear",
        [config, positive_power, text, documents.digest, labels.digest],
        LinearRef,
        lambda writer: run_stage(
            compute, _fit, documents, labels, config, positive_power, text, writer
        ),
    )
