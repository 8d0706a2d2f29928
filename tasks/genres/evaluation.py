"""Probabilities and labels -> scores that say which protocol gave them, and what is behind them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from sklearn.metrics import average_precision_score

from tasks.core.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    ScoresRef,
    UserError,
)
from tasks.core.storage import store
from tasks.genres.metrics import (
    PREFIX,
    Labels,
    Probabilities,
    Protocol,
    apply_thresholds,
    bootstrap_f1,
    bootstrap_interval,
    macro_f1,
    micro_f1,
    multilabel_scores,
    per_genre_scores,
)

VERSION = 6
SLICE_MOVIES = 20  # movies a slice needs to be shown on its own
MISTAKES = 20
LENGTHS = (20, 40, 80)  # words of an overview that part one slice from the next


def genre_table(
    labels: Labels, probabilities: Probabilities, thresholds: Probabilities, classes: Sequence[str]
) -> pa.Table:
    """Support, precision, recall, F1, average precision and threshold a genre.

    Where no document carries the genre its scores are null, not zero: they are undefined.
    """
    guess = apply_thresholds(probabilities, thresholds)
    precision, recall, f1, support = per_genre_scores(labels, guess)
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


def f1_intervals(labels: Labels, guess: Labels, tfidf: Labels, prefix: str) -> dict[str, float]:
    """95% bootstrap intervals of micro and macro F1, and of their margin over TF-IDF (paired)."""
    own, other = bootstrap_f1(labels, guess), bootstrap_f1(labels, tfidf)
    found: dict[str, float] = {}
    for name in own:
        found |= bootstrap_interval(own[name], f"{prefix}_f1_{name}")
        found |= bootstrap_interval(own[name] - other[name], f"{prefix}_f1_{name}_over_tfidf")
    return found


def slice_values(movies: pa.Table) -> dict[str, list[str]]:
    """For each kind of slice, the slice that each movie falls into."""
    lengths = np.digitize([len(text.split()) for text in movies["overview"].to_pylist()], LENGTHS)
    named = [f"up to {LENGTHS[0]}", *(f"from {words}" for words in LENGTHS)]
    years, genres = movies["year"].to_pylist(), movies["genres"].to_pylist()
    return {
        "decade": [f"{year // 10 * 10}s" if year else "unknown" for year in years],
        "overview words": [named[length] for length in lengths],
        "number of genres": [str(min(len(names), 4)) + "+" * (len(names) > 3) for names in genres],
        "language": [language or "unknown" for language in movies["language"].to_pylist()],
    }


def slice_table(movies: pa.Table, labels: Labels, guess: Labels) -> pa.Table:
    """Movies, micro and macro F1 of each slice; slices of under 20 movies are taken together."""
    rows: list[dict[str, Any]] = []
    for kind, values in slice_values(movies).items():
        sizes = Counter(values)
        kept = np.array([value if sizes[value] >= SLICE_MOVIES else "other" for value in values])
        for value in sorted(set(kept.tolist()), key=lambda name: (name == "other", name)):
            of = kept == value
            both = labels[of], guess[of]
            found = {"f1_micro": micro_f1(*both), "f1_macro": macro_f1(*both)}
            rows.append({"slice": kind, "value": value, "movies": int(of.sum())} | found)
    return pa.Table.from_pylist(rows)


def confident_errors(
    movies: pa.Table,
    labels: Labels,
    probabilities: Probabilities,
    thresholds: Probabilities,
    classes: Sequence[str],
) -> pa.Table:
    """The most confident wrong answers, surest first: movie, genre, probability, text."""
    wrong = labels != apply_thresholds(probabilities, thresholds)
    distance = np.where(wrong, np.abs(labels - probabilities), -1.0)
    surest = np.argsort(-distance, axis=None, kind="stable")[: min(MISTAKES, int(wrong.sum()))]
    rows = []
    for row, column in zip(*np.unravel_index(surest, distance.shape), strict=True):
        movie = movies.slice(row, 1).to_pylist()[0]
        answer = {
            "title": movie["title"],
            "genre": classes[column],
            "carries_it": bool(labels[row, column]),
            "probability": float(probabilities[row, column]),
        }
        rows.append(answer | {"genres": movie["genres"], "overview": movie["overview"]})
    return pa.Table.from_pylist(rows)


def predictions_table(
    movies: pa.Table,
    probabilities: Probabilities,
    thresholds: Probabilities,
    classes: Sequence[str],
) -> pa.Table:
    """`id`, `title`, actual and predicted genres, and a list of probabilities, a row a movie."""
    columns = {
        "id": movies["id"],
        "title": movies["title"],
        "actual_genres": movies["genres"],
        "predicted_genres": genre_names(apply_thresholds(probabilities, thresholds), classes),
        "probabilities": pa.array(list(probabilities), pa.list_(pa.float32())),
    }
    return pa.table(columns).replace_schema_metadata({"classes": ", ".join(classes)})


def genre_names(guess: NDArray[np.uint8], classes: Sequence[str]) -> pa.Array:
    """Rows of an indicator matrix as lists of names."""
    names = [[name for name, on in zip(classes, row, strict=True) if on] for row in guess]
    return pa.array(names, pa.list_(pa.string()))


def _evaluate(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
    baseline: ScoresRef,
    protocol: Protocol,
    writer: store.EntryWriter,
) -> ScoresRef:
    columns = ["id", "title", "overview", "genres", "year", "language", "split"]
    table = store.read(documents, columns)
    indicator, classes = store.read_labels(labels)
    by_name = store.read_json(store.locate(classifier) / "thresholds.json")
    thresholds = np.array([by_name[name] for name in classes], np.float32)
    split, labelled = np.array(table["split"].to_pylist()), indicator.any(axis=1)
    rows = (split == "test") & labelled
    if not rows.any():
        raise UserError("No movie with a learnt genre falls in the test split: give more movies.")
    movies, actual = table.filter(pa.array(rows)), indicator[rows]
    said = np.load(store.locate(probabilities), allow_pickle=False)[rows]
    guess, prefix = apply_thresholds(said, thresholds), PREFIX[protocol]
    tfidf = np.load(store.locate(baseline) / "tfidf.npy", allow_pickle=False)
    found = multilabel_scores(actual, said, thresholds, prefix) | f1_intervals(
        actual, guess, tfidf, prefix
    )
    found["genres_learnt"] = float(len(classes))
    store.write_json(writer.folder / "metrics.json", found)
    tables = {
        "genres": genre_table(actual, said, thresholds, classes),
        "slices": slice_table(movies, actual, guess),
        "mistakes": confident_errors(movies, actual, said, thresholds, classes),
        "test_predictions": predictions_table(movies, said, thresholds, classes),
    }
    for name, of in tables.items():
        pq.write_table(of, writer.folder / f"{name}.parquet")
    return writer.folder_ref(ScoresRef, movies.num_rows)


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
    baseline: ScoresRef,
    protocol: Protocol,
) -> ScoresRef:
    """Scores on the test split, under the prefix of the protocol that they were won by."""
    read = (documents, labels, classifier, probabilities, baseline)
    ref = store.get_or_create(
        "scores",
        [VERSION, protocol, *(of.digest for of in read)],
        ScoresRef,
        lambda writer: _evaluate(*read, protocol, writer),
    )
    folder, name = store.locate(ref), f"{PREFIX[protocol]}_f1_micro"
    value = store.read_json(folder / "metrics.json")[name]
    get_run_logger().info("%s %.3f on %d movies (%s protocol)", name, value, ref.rows, protocol)
    for key in ("genres", "slices", "mistakes"):
        rows = pq.read_table(folder / f"{key}.parquet").to_pylist()
        create_table_artifact(rows, key=key, description=f"{key} of the {protocol} test movies")
    return ref
