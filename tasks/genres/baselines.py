"""Texts and labels -> genre scores of simple baselines on the same splits as the classifier."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field, field_validator
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import DocumentsRef, LabelsRef, ScoresRef, UserError
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.preprocess import TEXT_COLUMNS, TextConfig, build_documents
from tasks.genres.metrics import (
    Labels,
    Probabilities,
    apply_thresholds,
    find_best_threshold,
    multilabel_scores,
)

SEED = 42


class BaselineConfig(StrictConfig):
    """Settings of the TF-IDF baseline."""

    tfidf_c: tuple[float, ...] = Field(
        (1.0, 2.0, 4.0, 8.0),
        min_length=1,
        description="Inverse regularisation strengths (C) of the TF-IDF baseline; the one with the "
        "best micro F1 on validation movies is used",
    )
    tfidf_min_df: int = Field(
        2, ge=1, description="Minimum training movies that contain a term of the TF-IDF baseline"
    )

    @field_validator("tfidf_c")
    @classmethod
    def _require_positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if min(values) <= 0:
            raise ValueError("each C must be above 0")
        return values


class LabelledTexts(NamedTuple):
    """Labelled movies of a split: n tokenised texts, and labels (n, n_genres)."""

    texts: list[str]
    labels: Labels


class BaselineResult(NamedTuple):
    """Scores of a baseline and its predictions for the test movies, (n_test, n_genres)."""

    scores: dict[str, float]
    predictions: Labels


def score_baseline(
    name: str,
    *,
    validation_labels: Labels,
    validation_probabilities: Probabilities,
    test_labels: Labels,
    test_probabilities: Probabilities,
) -> BaselineResult:
    """Micro and macro F1 on test, with the global threshold that is best on validation."""
    best = find_best_threshold(validation_labels, validation_probabilities)
    thresholds = np.full(test_labels.shape[1], best.threshold, test_probabilities.dtype)
    prefix = f"baseline_{name}"
    scores = multilabel_scores(test_labels, test_probabilities, thresholds, prefix=prefix)
    reported = {key: scores[key] for key in (f"{prefix}_f1_micro", f"{prefix}_f1_macro")}
    return BaselineResult(reported, apply_thresholds(test_probabilities, thresholds))


def fit_vectorizer(texts: list[str], min_df: int) -> TfidfVectorizer:
    """TF-IDF of tokens that spaces separate, with the logarithm of counts.

    Raises:
        UserError: the texts contain no terms.
    """
    vectorizer = TfidfVectorizer(
        analyzer=str.split,
        min_df=min(min_df, len(texts)),
        sublinear_tf=True,
        dtype=np.float32,  # half the memory
    )
    try:
        return vectorizer.fit(texts)
    except ValueError as error:
        raise UserError(f"The TF-IDF baseline has no terms to train on ({error}).") from error


def fit_genre(
    features: sp.csr_matrix, labels: NDArray[np.uint8], c: float, positive_power: float
) -> LogisticRegression | DummyClassifier:
    """Logistic regression of one genre; its positives weigh (negatives / positives) ** power.

    `features` are (n, n_terms), `labels` (n,). A genre of all movies or of none is constant.
    """
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        return DummyClassifier(strategy="prior").fit(features, labels)
    weight = ((len(labels) - positives) / positives) ** positive_power
    # The dual problem is solved faster where there are more terms than movies. Its solver visits
    # the movies in random order: without a seed, scores differ from run to run.
    solver = LogisticRegression(
        C=c, solver="liblinear", dual=True, tol=1e-2, random_state=SEED, class_weight={1: weight}
    )
    return solver.fit(features, labels)


def fit_genres(
    features: sp.csr_matrix, labels: Labels, c: float, positive_power: float
) -> Callable[[sp.csr_matrix], Probabilities]:
    """A model of each genre; returns what computes probabilities (n, n_genres) of features."""
    with threadpool_limits(1, user_api="blas"):  # more threads would compete with Doc2Vec's
        models = [fit_genre(features, column, c, positive_power) for column in labels.T]

    def probabilities(others: sp.csr_matrix) -> Probabilities:
        columns = [model.predict_proba(others)[:, model.classes_ == 1] for model in models]
        return np.column_stack([column.sum(axis=1) for column in columns])

    return probabilities


def tfidf_baseline(
    train: LabelledTexts,
    validation: LabelledTexts,
    test: LabelledTexts,
    config: BaselineConfig,
    positive_power: float,
) -> BaselineResult:
    """TF-IDF and one-vs-rest logistic regression, tuned on validation as the classifier is.

    It has the tokens and the class weights of the classifier.
    """
    vectorizer = fit_vectorizer(train.texts, config.tfidf_min_df)
    features = [vectorizer.transform(split.texts) for split in (train, validation, test)]
    models = [fit_genres(features[0], train.labels, c, positive_power) for c in config.tfidf_c]
    on_validation = [predict(features[1]) for predict in models]
    f1 = [find_best_threshold(validation.labels, values).f1 for values in on_validation]
    best = int(np.argmax(f1))
    result = score_baseline(
        "tfidf",
        validation_labels=validation.labels,
        validation_probabilities=on_validation[best],
        test_labels=test.labels,
        test_probabilities=models[best](features[2]),
    )
    return result._replace(scores=result.scores | {"baseline_tfidf_c": config.tfidf_c[best]})


def prior_baseline(
    train: LabelledTexts, validation: LabelledTexts, test: LabelledTexts
) -> BaselineResult:
    """Every movie gets the genre frequencies of the train split as probabilities."""
    frequencies = train.labels.mean(axis=0).astype(np.float32)
    return score_baseline(
        "prior",
        validation_labels=validation.labels,
        validation_probabilities=np.broadcast_to(frequencies, validation.labels.shape),
        test_labels=test.labels,
        test_probabilities=np.broadcast_to(frequencies, test.labels.shape),
    )


def baseline_texts(movies: pa.Table, text: TextConfig) -> list[str]:
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


def _baselines(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    positive_power: float,
    text: TextConfig,
    writer: store.EntryWriter,
) -> ScoresRef:
    movies = store.read(documents, [*TEXT_COLUMNS, "document", "split"])
    texts = baseline_texts(movies, text)
    splits = labelled_splits(texts, movies["split"].to_pylist(), store.read_labels(labels)[0])
    train, validation, test = (splits[name] for name in ("train", "validation", "test"))
    tfidf = tfidf_baseline(train, validation, test, config, positive_power)
    prior = prior_baseline(train, validation, test)
    store.write_json(writer.folder / "metrics.json", tfidf.scores | prior.scores)
    np.save(writer.folder / "tfidf.npy", tfidf.predictions)
    return writer.folder_ref(ScoresRef, len(test.texts))


@task(name="baselines", cache_policy=NO_CACHE)
def baselines(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    positive_power: float,
    text: TextConfig,
    compute: Compute,
) -> ScoresRef:
    """Scores of the TF-IDF and the prior baseline on the same splits.

    `positive_power` is the classifier's exponent of class weights. A large source is scored in a
    separate process: the task runs at the same time as Doc2Vec training, and the two would slow
    each other down in one interpreter.
    """
    return store.get_or_create(
        "baselines",
        [config, positive_power, text, documents.digest, labels.digest],
        ScoresRef,
        lambda writer: run_stage(
            compute, _baselines, documents, labels, config, positive_power, text, writer
        ),
    )
