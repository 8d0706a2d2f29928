"""Probabilities and labels -> scores that say which protocol gave them, beside baselines."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    hamming_loss,
    log_loss,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)
from sklearn.multiclass import OneVsRestClassifier

from tasks import store
from tasks.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    ScoresRef,
    UserError,
    best_threshold,
)

VERSION = 1
Labels = NDArray[np.uint8]
Probabilities = NDArray[np.floating[Any]]
Protocol = Literal["held-out", "blog"]
PREFIX: dict[Protocol, str] = {"held-out": "test", "blog": "blog"}


class EvaluateConfig(BaseModel):
    """What the model is held against."""

    tfidf_c: float = Field(5.0, gt=0, description="Inverse regularisation of the TF-IDF baseline")
    tfidf_min_df: int = Field(2, ge=1, description="Train movies a term of the baseline needs")


class Split(NamedTuple):
    """Labelled movies of one split: `overview title` texts and indicator matrix."""

    texts: list[str]
    labels: Labels


def scores(
    labels: Labels, probabilities: Probabilities, thresholds: Probabilities, prefix: str
) -> dict[str, float]:
    """Multilabel scores of documents that each carry a learnt genre, named `prefix_…`.

    Macro scores average over the genres that occur in these documents: without one, a genre's
    recall is undefined.
    """
    present = labels.any(axis=0)
    predicted = (probabilities >= thresholds).astype(np.uint8)
    seen, guessed = labels[:, present], predicted[:, present]
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    values = {
        "f1_micro": f1_score(labels, predicted, average="micro", zero_division=0),
        "f1_macro": f1_score(seen, guessed, average="macro", zero_division=0),
        "f1_samples": f1_score(labels, predicted, average="samples", zero_division=0),
        "precision_micro": precision_score(labels, predicted, average="micro", zero_division=0),
        "recall_micro": recall_score(labels, predicted, average="micro", zero_division=0),
        "average_precision_macro": average_precision_score(
            seen, probabilities[:, present], average="macro"
        ),
        "hamming_loss": hamming_loss(labels, predicted),
        "loss": log_loss(labels.ravel(), clipped.ravel(), labels=[0, 1]),
    }
    return {f"{prefix}_{name}": float(value) for name, value in values.items()}


def genre_table(
    labels: Labels, probabilities: Probabilities, thresholds: Probabilities, classes: Sequence[str]
) -> pa.Table:
    """Support, precision, recall, F1, average precision and threshold a genre.

    Where no document carries the genre its scores are null, not zero: they are undefined.
    """
    predicted = (probabilities >= thresholds).astype(np.uint8)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, average=None, zero_division=0
    )
    rows = []
    for column, name in enumerate(classes):
        known = bool(support[column])
        area = average_precision_score(labels[:, column], probabilities[:, column]) if known else 0
        values = {"precision": precision[column], "recall": recall[column], "f1": f1[column]}
        values["average_precision"] = area
        rows.append(
            {"genre": name, "support": int(support[column])}
            | {key: float(value) if known else None for key, value in values.items()}
            | {"threshold": float(thresholds[column])}
        )
    return pa.Table.from_pylist(rows)


def baseline_scores(
    name: str, tuning: Labels, on_tuning: Probabilities, test: Labels, on_test: Probabilities
) -> dict[str, float]:
    """Micro and macro F1 of a baseline whose threshold is tuned just as the model's is."""
    threshold = np.full(test.shape[1], best_threshold(tuning, on_tuning), on_test.dtype)
    found = scores(test, on_test, threshold, f"baseline_{name}")
    return {key: found[key] for key in (f"baseline_{name}_f1_micro", f"baseline_{name}_f1_macro")}


def tfidf_baseline(
    train: Split, validation: Split, test: Split, config: EvaluateConfig
) -> dict[str, float]:
    """TF-IDF of words and word pairs, one-vs-rest logistic regression, on the same split.

    Its text is overview and title, whatever the recipe: it never sees a genre word that the
    overview does not hold.
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
    model = OneVsRestClassifier(LogisticRegression(C=config.tfidf_c, solver="liblinear"))
    model.fit(features, train.labels)
    on_validation = model.predict_proba(vectorizer.transform(validation.texts))
    on_test = model.predict_proba(vectorizer.transform(test.texts))
    return baseline_scores("tfidf", validation.labels, on_validation, test.labels, on_test)


def prior_baseline(train: Split, validation: Split, test: Split) -> dict[str, float]:
    """Every movie gets the genres' shares in the train split as its probabilities."""
    shares = train.labels.mean(axis=0).astype(np.float32)
    on_validation = np.broadcast_to(shares, validation.labels.shape)
    on_test = np.broadcast_to(shares, test.labels.shape)
    return baseline_scores("prior", validation.labels, on_validation, test.labels, on_test)


def splits_of(table: pa.Table, labels: Labels) -> dict[str, Split]:
    """Labelled movies of each split from a table with `title`, `overview` and `split`.

    Raises:
        UserError: a split has no movie with a learnt genre.
    """
    pairs = zip(table["overview"].to_pylist(), table["title"].to_pylist(), strict=True)
    texts = np.array([f"{overview} {title}" for overview, title in pairs], dtype=object)
    names, labelled = np.array(table["split"].to_pylist()), labels.any(axis=1)
    found = {}
    for name in ("train", "validation", "test"):
        rows = (names == name) & labelled
        if not rows.any():
            raise UserError(f"No movie with a learnt genre falls in the {name} split: give more.")
        found[name] = Split(texts[rows].tolist(), labels[rows])
    return found


def _baselines(
    documents: DocumentsRef, labels: LabelsRef, config: EvaluateConfig, slot: store.Slot
) -> ScoresRef:
    table = store.read(documents, ["title", "overview", "split"])
    split = splits_of(table, store.read_labels(labels)[0])
    found = tfidf_baseline(split["train"], split["validation"], split["test"], config)
    found |= prior_baseline(split["train"], split["validation"], split["test"])
    store.write_json(slot.folder / "metrics.json", found)
    return slot.whole(ScoresRef, len(split["test"].texts))


@task(name="baselines", cache_policy=NO_CACHE)
def baselines(documents: DocumentsRef, labels: LabelsRef, config: EvaluateConfig) -> ScoresRef:
    """What simple methods reach on the same split."""
    return store.entry(
        "baselines",
        [VERSION, config, documents.digest, labels.digest],
        ScoresRef,
        lambda slot: _baselines(documents, labels, config, slot),
    )


def predictions_table(
    movies: pa.Table,
    probabilities: Probabilities,
    thresholds: Probabilities,
    classes: Sequence[str],
) -> pa.Table:
    """`id`, `title`, actual and predicted genres, and a list of probabilities, a row a movie."""
    chosen = probabilities >= thresholds
    predicted = [[n for n, on in zip(classes, row, strict=True) if on] for row in chosen]
    columns = {
        "id": movies["id"],
        "title": movies["title"],
        "actual_genres": movies["genres"],
        "predicted_genres": pa.array(predicted, pa.list_(pa.string())),
        "probabilities": pa.array(list(probabilities), pa.list_(pa.float32())),
    }
    return pa.table(columns).replace_schema_metadata({"classes": ", ".join(classes)})


def _evaluate(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
    protocol: Protocol,
    slot: store.Slot,
) -> ScoresRef:
    table = store.read(documents, ["id", "title", "genres", "split"])
    indicator, classes = store.read_labels(labels)
    by_name = store.read_json(store.locate(classifier) / "thresholds.json")
    thresholds = np.array([by_name[name] for name in classes], np.float32)
    predicted = np.load(store.locate(probabilities), allow_pickle=False)
    split, labelled = np.array(table["split"].to_pylist()), indicator.any(axis=1)
    rows = (split == "test") & labelled
    if not rows.any():
        raise UserError("No movie with a learnt genre falls in the test split: give more movies.")
    found = scores(indicator[rows], predicted[rows], thresholds, PREFIX[protocol])
    store.write_json(slot.folder / "metrics.json", found)
    genres = genre_table(indicator[rows], predicted[rows], thresholds, classes)
    pq.write_table(genres, slot.folder / "genres.parquet")
    movies = table.filter(pa.array(rows))
    predictions = predictions_table(movies, predicted[rows], thresholds, classes)
    pq.write_table(predictions, slot.folder / "test_predictions.parquet")
    return slot.whole(ScoresRef, movies.num_rows)


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
    protocol: Protocol,
) -> ScoresRef:
    """Scores on the test split, under the prefix of the protocol that they were won by."""
    ref = store.entry(
        "scores",
        [VERSION, protocol, *(r.digest for r in (documents, labels, classifier, probabilities))],
        ScoresRef,
        lambda slot: _evaluate(documents, labels, classifier, probabilities, protocol, slot),
    )
    name = f"{PREFIX[protocol]}_f1_micro"
    value = store.read_json(store.locate(ref) / "metrics.json")[name]
    get_run_logger().info("%s %.3f on %d movies (%s protocol)", name, value, ref.rows, protocol)
    return ref
