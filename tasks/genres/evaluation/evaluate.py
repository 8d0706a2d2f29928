"""Genre probabilities and labels -> test scores, named by their protocol, with their tables."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger

from tasks.core.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    ScoresRef,
    UserError,
    VectorsRef,
)
from tasks.core.orchestration.artifact_tables import show_table
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.splits import films_of, movie_keys
from tasks.genres.evaluation.tables import (
    PredictedMovies,
    confident_errors,
    genre_table,
    predictions_table,
    slice_table,
)
from tasks.genres.inference import genre_probabilities, load_classifier
from tasks.genres.metrics import (
    PREFIX,
    Films,
    Labels,
    Protocol,
    apply_thresholds,
    bootstrap_f1,
    bootstrap_interval,
    macro_f1,
    micro_f1,
    multilabel_scores,
)

MOVIE_COLUMNS = ["id", "title", "overview", "genres", "year", "language", "split"]
#: Tables shown as Prefect artifacts, with their descriptions.
SHOWN_TABLES = {
    "genres": "Scores of each genre, its movies, and its probability threshold",
    "slices": "Scores of movies by decade, length of text, number of genres, and language",
    "mistakes": "The wrong predictions that are furthest from the truth",
}


def f1_intervals(
    labels: Labels,
    predictions: Labels,
    others: Mapping[str, Labels],
    films: Films,
    prefix: str,
) -> dict[str, float]:
    """95% bootstrap intervals of micro and macro F1, of other models', and of the paired margins.

    `others` are predictions by the prefix of their scores, whose last word names the margin.
    `films` (n_movies,) numbers the films of the movies, which are drawn as a whole.
    """
    f1 = bootstrap_f1(labels, predictions, films)
    intervals: dict[str, float] = {}
    for average, samples in f1.items():
        intervals |= bootstrap_interval(samples, f"{prefix}_f1_{average}")
    for other, other_predictions in others.items():
        name = other.split("_")[-1]
        for average, samples in bootstrap_f1(labels, other_predictions, films).items():
            margin = f1[average] - samples
            intervals |= bootstrap_interval(samples, f"{other}_f1_{average}")
            intervals |= bootstrap_interval(margin, f"{prefix}_f1_{average}_over_{name}")
    return intervals


def member_scores(name: str, labels: Labels, predictions: Labels) -> dict[str, float]:
    """F1 of a part of the classifier alone; the linear model's is that of the TF-IDF baseline."""
    return {
        f"member_{name}_f1_micro": micro_f1(labels, predictions),
        f"member_{name}_f1_macro": macro_f1(labels, predictions),
    }


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
    is_test, rows = _is_test(documents), _test_rows(documents, labels)
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


def _is_test(documents: DocumentsRef) -> NDArray[np.bool_]:
    is_test: NDArray[np.bool_] = store.read(documents, ["split"])["split"].to_numpy() == "test"
    return is_test


def _test_rows(documents: DocumentsRef, labels: LabelsRef) -> NDArray[np.bool_]:
    """Whether each document is of a labelled test movie."""
    return _is_test(documents) & store.read_labels(labels)[0].any(axis=1)


def _predictions(
    network: ClassifierRef, documents: DocumentsRef, vectors: VectorsRef, rows: NDArray[np.bool_]
) -> Labels:
    """What a network predicts for some documents with its own thresholds."""
    loaded = load_classifier(store.locate(network))
    texts = store.read(documents, ["document"])["document"].filter(pa.array(rows)).to_pylist()
    probabilities = genre_probabilities(
        loaded.classifier, texts, store.select_vectors(vectors, rows)
    )
    return apply_thresholds(probabilities, loaded.thresholds)


def _scores(
    predicted: PredictedMovies, members: Mapping[str, Labels], films: Films, prefix: str
) -> dict[str, float]:
    """Scores and intervals; `members` are predictions of the ensemble's parts by their name."""
    scores = multilabel_scores(
        labels=predicted.labels,
        probabilities=predicted.probabilities,
        thresholds=predicted.thresholds,
        prefix=prefix,
    )
    others = {"baseline_tfidf": members["tfidf"]}
    if "network" in members:
        others["member_network"] = members["network"]
        scores |= member_scores("network", predicted.labels, members["network"])
        scores |= member_scores("linear", predicted.labels, members["tfidf"])
    scores |= f1_intervals(
        labels=predicted.labels,
        predictions=predicted.predictions,
        others=others,
        films=films,
        prefix=prefix,
    )
    counts = {
        "genres_learnt": len(predicted.classes),
        f"{prefix}_movies": len(predicted.labels),
        f"{prefix}_movies_left_out": predicted.left_out,
    }
    return scores | {name: float(count) for name, count in counts.items()}


def _evaluate(
    predicted: PredictedMovies,
    network: Labels | None,
    baseline: ScoresRef,
    protocol: Protocol,
    writer: store.EntryWriter,
) -> ScoresRef:
    members = {"tfidf": np.load(store.locate(baseline) / "tfidf.npy", allow_pickle=False)}
    if network is not None:
        members["network"] = network
    films = films_of(movie_keys(predicted.movies))
    scores = _scores(predicted, members, films, PREFIX[protocol])
    store.write_json(writer.folder / "metrics.json", scores)
    tables = {
        "genres": genre_table(predicted),
        "slices": slice_table(predicted.movies, predicted.labels, predicted.predictions),
        "mistakes": confident_errors(predicted),
        "test_predictions": predictions_table(predicted, films, members),
    }
    for name, table in tables.items():
        pq.write_table(table, writer.folder / f"{name}.parquet")
    return writer.folder_ref(ScoresRef, predicted.movies.num_rows)


@stage_task("evaluate")
def evaluate(
    documents: DocumentsRef,
    labels: LabelsRef,
    classifier: ClassifierRef,
    probabilities: ProbabilitiesRef,
    baseline: ScoresRef,
    protocol: Protocol,
    vectors: VectorsRef,
    network: ClassifierRef | None,
) -> ScoresRef:
    """Scores on the labelled test movies, under the metric prefix of the protocol.

    With `network`, a part of the classifier, also the scores of this part alone.

    Raises:
        UserError: the test split has no labelled movies.
    """

    def write(writer: store.EntryWriter) -> ScoresRef:
        predicted = _predicted_test_movies(
            documents=documents, labels=labels, classifier=classifier, probabilities=probabilities
        )
        alone = None
        if network:
            alone = _predictions(network, documents, vectors, _test_rows(documents, labels))
        return _evaluate(predicted, alone, baseline=baseline, protocol=protocol, writer=writer)

    inputs = (documents, labels, classifier, probabilities, baseline, vectors)
    key = [protocol, *(ref.digest for ref in inputs), network.digest if network else None]
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
        show_table(rows, key=key, description=f"{description} (test movies, {protocol} protocol).")
