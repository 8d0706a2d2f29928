"""Genre probabilities and labels -> test scores, named by their protocol, with their tables."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.core.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    ScoresRef,
    UserError,
)
from tasks.core.storage import store
from tasks.data.splits import films_of, movie_keys
from tasks.genres.evaluation_tables import (
    PredictedMovies,
    confident_errors,
    genre_table,
    predictions_table,
    slice_table,
)
from tasks.genres.metrics import (
    PREFIX,
    Films,
    Labels,
    Protocol,
    bootstrap_f1,
    bootstrap_interval,
    multilabel_scores,
)

MOVIE_COLUMNS = ["id", "title", "overview", "genres", "year", "language", "split"]
#: Tables shown as Prefect artifacts, with their descriptions.
SHOWN_TABLES = {
    "genres": "Scores per genre",
    "slices": "Scores per group of movies",
    "mistakes": "Wrong predictions furthest from the truth",
}


def f1_intervals(
    labels: Labels,
    predictions: Labels,
    tfidf_predictions: Labels,
    films: Films,
    prefix: str,
) -> dict[str, float]:
    """95% bootstrap intervals of micro and macro F1, of TF-IDF's, and of the paired margin.

    `films` (n_movies,) numbers the films of the movies, which are drawn as a whole.
    """
    f1 = bootstrap_f1(labels, predictions, films)
    tfidf_f1 = bootstrap_f1(labels, tfidf_predictions, films)
    intervals: dict[str, float] = {}
    for average in f1:
        name = f"{prefix}_f1_{average}"
        intervals |= bootstrap_interval(f1[average], name)
        intervals |= bootstrap_interval(tfidf_f1[average], f"baseline_tfidf_f1_{average}")
        intervals |= bootstrap_interval(f1[average] - tfidf_f1[average], f"{name}_over_tfidf")
    return intervals


def _predicted_test_movies(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
) -> PredictedMovies:
    """The labelled movies of the test split.

    Raises:
        UserError: there are none.
    """
    movies = store.read(documents, MOVIE_COLUMNS)
    indicator, classes = store.read_labels(labels)
    is_test = np.array(movies["split"].to_pylist()) == "test"
    rows = is_test & indicator.any(axis=1)
    if not rows.any():
        raise UserError("No movie with a learned genre is in the test split: add movies.")
    thresholds = store.read_json(store.locate(classifier) / "thresholds.json")
    return PredictedMovies(
        movies=movies.filter(pa.array(rows)),
        labels=indicator[rows],
        probabilities=np.load(store.locate(probabilities), allow_pickle=False)[rows],
        thresholds=np.array([thresholds[name] for name in classes], np.float32),
        classes=classes,
        left_out=int(is_test.sum() - rows.sum()),
    )


def _scores(predicted: PredictedMovies, baseline: ScoresRef, prefix: str) -> dict[str, float]:
    tfidf_predictions = np.load(store.locate(baseline) / "tfidf.npy", allow_pickle=False)
    scores = multilabel_scores(
        labels=predicted.labels,
        probabilities=predicted.probabilities,
        thresholds=predicted.thresholds,
        prefix=prefix,
    )
    scores |= f1_intervals(
        labels=predicted.labels,
        predictions=predicted.predictions,
        tfidf_predictions=tfidf_predictions,
        films=films_of(movie_keys(predicted.movies)),
        prefix=prefix,
    )
    counts = {
        "genres_learnt": len(predicted.classes),
        f"{prefix}_movies": len(predicted.labels),
        f"{prefix}_movies_left_out": predicted.left_out,
    }
    return scores | {name: float(count) for name, count in counts.items()}


def _evaluate(
    predicted: PredictedMovies, baseline: ScoresRef, protocol: Protocol, writer: store.EntryWriter
) -> ScoresRef:
    scores = _scores(predicted, baseline, PREFIX[protocol])
    store.write_json(writer.folder / "metrics.json", scores)
    tables = {
        "genres": genre_table(predicted),
        "slices": slice_table(predicted.movies, predicted.labels, predicted.predictions),
        "mistakes": confident_errors(predicted),
        "test_predictions": predictions_table(predicted),
    }
    for name, table in tables.items():
        pq.write_table(table, writer.folder / f"{name}.parquet")
    return writer.folder_ref(ScoresRef, predicted.movies.num_rows)


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
    baseline: ScoresRef,
    protocol: Protocol,
) -> ScoresRef:
    """Scores on the labelled test movies, under the metric prefix of the protocol.

    Raises:
        UserError: the test split has no labelled movies.
    """

    def write(writer: store.EntryWriter) -> ScoresRef:
        predicted = _predicted_test_movies(
            documents=documents, labels=labels, classifier=classifier, probabilities=probabilities
        )
        return _evaluate(predicted, baseline=baseline, protocol=protocol, writer=writer)

    inputs = (documents, labels, classifier, probabilities, baseline)
    key = [protocol, *(ref.digest for ref in inputs)]
    scores = store.get_or_create("scores", key, ScoresRef, write)
    _show(scores, protocol)
    return scores


def _show(scores: ScoresRef, protocol: Protocol) -> None:
    """Log the headline score and show the tables as Prefect artifacts."""
    folder, name = store.locate(scores), f"{PREFIX[protocol]}_f1_micro"
    value = store.read_json(folder / "metrics.json")[name]
    get_run_logger().info("%s %.3f on %d movies (%s protocol)", name, value, scores.rows, protocol)
    for key, description in SHOWN_TABLES.items():
        rows = pq.read_table(folder / f"{key}.parquet").to_pylist()
        create_table_artifact(
            rows, key=key, description=f"{description} (test movies, {protocol} protocol)"
        )
