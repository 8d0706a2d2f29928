"""Texts and labels -> genre scores of simple baselines on the same splits as the classifier."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from threadpoolctl import threadpool_limits

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import DocumentsRef, LabelsRef, ScoresRef, UserError
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.preprocess import TextConfig
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

    tfidf_c: float = Field(
        5.0, gt=0, description="Inverse regularisation strength (C) of the TF-IDF baseline"
    )
    tfidf_min_df: int = Field(
        2, ge=1, description="Minimum training movies that contain a term of the TF-IDF baseline"
    )


class LabelledTexts(NamedTuple):
    """Labelled movies of a split: n texts of overview and title, and labels (n, n_genres)."""

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


def fit_tfidf(
    train: LabelledTexts, config: BaselineConfig
) -> tuple[TfidfVectorizer, OneVsRestClassifier]:
    """TF-IDF of words and bigrams, and a logistic regression per genre, both fitted on `train`.

    Raises:
        UserError: the texts contain no terms.
    """
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=min(config.tfidf_min_df, len(train.texts)),
        sublinear_tf=True,
        stop_words="english",
        dtype=np.float32,
    )
    try:
        features = vectorizer.fit_transform(train.texts)
    except ValueError as error:
        raise UserError(f"The TF-IDF baseline has no terms to train on ({error}).") from error
    # The dual problem is solved faster where there are more terms than movies. Its solver visits
    # the movies in random order: without a seed, scores differ from run to run.
    solver = LogisticRegression(
        C=config.tfidf_c, solver="liblinear", dual=True, tol=1e-2, random_state=SEED
    )
    with threadpool_limits(1, user_api="blas"):  # more threads would compete with Doc2Vec's
        return vectorizer, OneVsRestClassifier(solver).fit(features, train.labels)


def tfidf_baseline(
    train: LabelledTexts, validation: LabelledTexts, test: LabelledTexts, config: BaselineConfig
) -> BaselineResult:
    """TF-IDF and one-vs-rest logistic regression.

    Its texts are overview and title, and keywords if the classifier has them, in every preset: no
    genre word is added to them.
    """
    vectorizer, model = fit_tfidf(train, config)
    # for a single genre scikit-learn returns two columns: its absence and its presence
    genres = slice(-train.labels.shape[1], None)
    return score_baseline(
        "tfidf",
        validation_labels=validation.labels,
        validation_probabilities=model.predict_proba(vectorizer.transform(validation.texts))[
            :, genres
        ],
        test_labels=test.labels,
        test_probabilities=model.predict_proba(vectorizer.transform(test.texts))[:, genres],
    )


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


def labelled_splits(
    movies: pa.Table, labels: Labels, keywords: bool = False
) -> dict[str, LabelledTexts]:
    """Labelled movies by split, from the columns `title`, `overview`, `keywords` and `split`.

    `keywords` adds the keywords to the texts, as the classifier's documents have them.

    Raises:
        UserError: a split has no movie with a learned genre.
    """
    columns = [movies["overview"].to_pylist(), movies["title"].to_pylist()]
    if keywords:
        columns.append([" ".join(words) for words in movies["keywords"].to_pylist()])
    texts = np.array([" ".join(parts) for parts in zip(*columns, strict=True)], dtype=object)
    movie_splits, labelled = np.array(movies["split"].to_pylist()), labels.any(axis=1)
    splits = {}
    for name in ("train", "validation", "test"):
        rows = (movie_splits == name) & labelled
        if not rows.any():
            raise UserError(f"No movie with a learned genre is in the {name} split: add movies.")
        splits[name] = LabelledTexts(texts[rows].tolist(), labels[rows])
    return splits


def _baselines(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    text: TextConfig,
    writer: store.EntryWriter,
) -> ScoresRef:
    movies = store.read(documents, ["title", "overview", "keywords", "split"])
    splits = labelled_splits(movies, store.read_labels(labels)[0], text.keywords)
    train, validation, test = (splits[name] for name in ("train", "validation", "test"))
    tfidf = tfidf_baseline(train=train, validation=validation, test=test, config=config)
    prior = prior_baseline(train, validation, test)
    store.write_json(writer.folder / "metrics.json", tfidf.scores | prior.scores)
    np.save(writer.folder / "tfidf.npy", tfidf.predictions)
    return writer.folder_ref(ScoresRef, len(test.texts))


@task(name="baselines", cache_policy=NO_CACHE)
def baselines(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    text: TextConfig,
    compute: Compute,
) -> ScoresRef:
    """Scores of the TF-IDF and the prior baseline on the same splits.

    A large source is scored in a separate process: the task runs at the same time as Doc2Vec
    training, and the two would slow each other down in one interpreter.
    """
    return store.get_or_create(
        "baselines",
        [config, text.keywords, documents.digest, labels.digest],
        ScoresRef,
        lambda writer: run_stage(compute, _baselines, documents, labels, config, text, writer),
    )
