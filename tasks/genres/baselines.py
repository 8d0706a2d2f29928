"""Texts and labels -> what simple methods reach on the same split, tuned as the model is."""

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

VERSION = 5
SEED = 42


class BaselineConfig(StrictConfig):
    """What the model is held against."""

    tfidf_c: float = Field(5.0, gt=0, description="Inverse regularisation of the TF-IDF baseline")
    tfidf_min_df: int = Field(2, ge=1, description="Train movies a term of the baseline needs")


class Split(NamedTuple):
    """Labelled movies of one split: `overview title` texts and indicator matrix."""

    texts: list[str]
    labels: Labels


class Baseline(NamedTuple):
    """Scores of a baseline and what it says of the test movies, (n_test, n_genres)."""

    scores: dict[str, float]
    guess: Labels


def tuned_baseline(
    name: str, tuning: Labels, on_tuning: Probabilities, test: Labels, on_test: Probabilities
) -> Baseline:
    """Micro and macro F1 of a baseline whose threshold is tuned just as the model's is."""
    threshold = np.full(
        test.shape[1], find_best_threshold(tuning, on_tuning).threshold, on_test.dtype
    )
    found = multilabel_scores(test, on_test, threshold, f"baseline_{name}")
    kept = (f"baseline_{name}_f1_micro", f"baseline_{name}_f1_macro")
    return Baseline({key: found[key] for key in kept}, apply_thresholds(on_test, threshold))


def tfidf_baseline(
    train: Split, validation: Split, test: Split, config: BaselineConfig
) -> Baseline:
    """TF-IDF of words and word pairs, one-vs-rest logistic regression, on the same split.

    Its text is overview and title (and keywords, where the model has them), whatever the recipe:
    it never sees a genre word that they do not hold.
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
        raise UserError(f"The TF-IDF baseline finds no words to learn ({error}).") from error
    # The dual problem is the same one, solved faster where there are more terms than movies.
    # Its solver draws the order of the movies: without a seed, scores differ from run to run.
    solver = LogisticRegression(
        C=config.tfidf_c, solver="liblinear", dual=True, tol=1e-2, random_state=SEED
    )
    model = OneVsRestClassifier(solver)
    with threadpool_limits(1, user_api="blas"):  # its threads would only wait for Doc2Vec's
        model.fit(features, train.labels)
    # of a single genre scikit-learn gives two columns, without and with it
    genres = slice(-train.labels.shape[1], None)
    on_validation = model.predict_proba(vectorizer.transform(validation.texts))[:, genres]
    on_test = model.predict_proba(vectorizer.transform(test.texts))[:, genres]
    return tuned_baseline("tfidf", validation.labels, on_validation, test.labels, on_test)


def prior_baseline(train: Split, validation: Split, test: Split) -> Baseline:
    """Every movie gets the genres' shares in the train split as its probabilities."""
    shares = train.labels.mean(axis=0).astype(np.float32)
    on_validation = np.broadcast_to(shares, validation.labels.shape)
    on_test = np.broadcast_to(shares, test.labels.shape)
    return tuned_baseline("prior", validation.labels, on_validation, test.labels, on_test)


def splits_of(table: pa.Table, labels: Labels, keywords: bool = False) -> dict[str, Split]:
    """Labelled movies of each split from a table with `title`, `overview`, `keywords` and `split`.

    `keywords` puts them into the texts, where the model's documents have them too.

    Raises:
        UserError: a split has no movie with a learnt genre.
    """
    parts = [table["overview"].to_pylist(), table["title"].to_pylist()]
    if keywords:
        parts.append([" ".join(names) for names in table["keywords"].to_pylist()])
    texts = np.array([" ".join(row) for row in zip(*parts, strict=True)], dtype=object)
    names, labelled = np.array(table["split"].to_pylist()), labels.any(axis=1)
    found = {}
    for name in ("train", "validation", "test"):
        rows = (names == name) & labelled
        if not rows.any():
            raise UserError(f"No movie with a learnt genre falls in the {name} split: give more.")
        found[name] = Split(texts[rows].tolist(), labels[rows])
    return found


def _baselines(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    text: TextConfig,
    writer: store.EntryWriter,
) -> ScoresRef:
    table = store.read(documents, ["title", "overview", "keywords", "split"])
    split = splits_of(table, store.read_labels(labels)[0], text.keywords)
    parts = (split["train"], split["validation"], split["test"])
    tfidf = tfidf_baseline(*parts, config)
    prior = prior_baseline(*parts)
    store.write_json(writer.folder / "metrics.json", tfidf.scores | prior.scores)
    np.save(writer.folder / "tfidf.npy", tfidf.guess)
    return writer.folder_ref(ScoresRef, len(split["test"].texts))


@task(name="baselines", cache_policy=NO_CACHE)
def baselines(
    documents: DocumentsRef,
    labels: LabelsRef,
    config: BaselineConfig,
    text: TextConfig,
    compute: Compute,
) -> ScoresRef:
    """What simple methods reach on the same split, with the keywords that the model gets too.

    On a large source the work is done in a process of its own: it runs beside Doc2Vec's training,
    and within one interpreter the two would hold each other up.
    """
    return store.get_or_create(
        "baselines",
        [VERSION, config, text.keywords, documents.digest, labels.digest],
        ScoresRef,
        lambda writer: run_stage(compute, _baselines, documents, labels, config, text, writer),
    )
