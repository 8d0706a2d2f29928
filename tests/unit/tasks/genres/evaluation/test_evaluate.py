import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import (
    ClassifierRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    ScoresRef,
    UserError,
    VectorsRef,
)
from tasks.core.storage import store
from tasks.genres.evaluation import evaluate as evaluation
from tasks.genres.evaluation.evaluate import evaluate, f1_intervals
from tasks.genres.inference import Classifier, Layer, save_classifier
from tasks.genres.word_vectors import WordVectors
from tests.support.logs import messages
from tests.support.stored import stored_folder, stored_table

FILMS = np.arange(60, dtype=np.int32)
LABELS = np.tile(np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], np.uint8), (20, 1))


def test_margin_over_a_baseline_that_is_always_wrong_is_significant():
    intervals = f1_intervals(LABELS, LABELS, {"baseline_tfidf": 1 - LABELS}, FILMS, "test")
    assert intervals["test_f1_micro_low"] == intervals["test_f1_macro_high"] == 1.0
    assert intervals["test_f1_micro_over_tfidf_low"] > 0.5


def test_margin_over_equal_predictions_is_zero():
    intervals = f1_intervals(LABELS, LABELS, {"baseline_tfidf": LABELS}, FILMS, "test")
    assert intervals["test_f1_macro_over_tfidf_low"] == 0
    assert intervals["test_f1_macro_over_tfidf_high"] == 0


def test_movies_of_a_film_are_drawn_together():
    """Thirty films of two movies each have less to say than sixty films."""
    predictions = LABELS.copy()
    predictions[::4] = 1 - predictions[::4]
    predictions[1::4] = 1 - predictions[1::4]
    alone, together = (
        f1_intervals(LABELS, predictions, {}, films, "test") for films in (FILMS, FILMS // 2)
    )
    widths = [row["test_f1_micro_high"] - row["test_f1_micro_low"] for row in (alone, together)]
    assert widths[1] > 1.2 * widths[0]


def test_a_margin_is_named_by_the_last_word_of_the_other_model():
    intervals = f1_intervals(LABELS, LABELS, {"a_longer_name": LABELS}, FILMS, "test")
    assert "test_f1_micro_over_name_low" in intervals


def test_two_movies_of_a_film_say_no_more_than_one(inputs, monkeypatch):
    """The two test movies share title and year."""
    drawn = []
    monkeypatch.setattr(
        evaluation, "f1_intervals", lambda **values: drawn.append(values["films"]) or {}
    )
    documents = store.read(inputs["documents"])
    titles = pa.array(["Alien"] * documents.num_rows)
    column = documents.column_names.index("title")
    same = stored_table(DocumentsRef, documents.set_column(column, "title", titles))
    evaluate.fn(**inputs | {"documents": same}, protocol="held-out")
    evaluate.fn(**inputs, protocol="held-out")
    assert [len(set(films.tolist())) for films in drawn] == [1, 2]


GENRES = ["Horror", "War"]
THRESHOLDS = {"War": 0.7, "Horror": 0.4}  # in another order than the columns
#: Split, labels and probabilities of each movie. Of the test movies one has no learned genre.
MOVIES: list[tuple[str, list[int], list[float]]] = [
    ("train", [1, 0], [0.0, 1.0]),
    ("test", [1, 0], [0.5, 0.5]),
    ("validation", [0, 1], [1.0, 0.0]),
    ("test", [0, 0], [0.9, 0.9]),
    ("test", [1, 1], [0.3, 0.8]),
]


@pytest.fixture
def inputs(monkeypatch) -> dict[str, Any]:
    """Stored inputs of an evaluation; TF-IDF predicts Horror for the first test movie alone."""
    monkeypatch.setattr(evaluation, "show_table", lambda *_, **__: None)
    monkeypatch.setattr(evaluation, "get_run_logger", lambda: logging.getLogger("evaluation"))
    rows = range(len(MOVIES))
    table = pa.table(
        {
            **{"id": list(rows), "title": [f"Movie {row}" for row in rows]},
            **{
                "overview": [f"A ghost {row}." for row in rows],
                "document": [f"word{row}" for row in rows],
                "genres": [["Horror"]] * 5,
            },
            **{"year": [1999] * 5, "language": ["en"] * 5, "split": [row[0] for row in MOVIES]},
        }
    )

    def write_labels(folder):
        np.save(folder / "labels.npy", np.array([row[1] for row in MOVIES], np.uint8))
        store.write_json(folder / "classes.json", GENRES)

    def write_probabilities(writer: store.EntryWriter) -> ProbabilitiesRef:
        values = np.array([row[2] for row in MOVIES], np.float32)
        np.save(writer.folder / "probabilities.npy", values)
        return writer.file_ref(ProbabilitiesRef, "probabilities.npy")

    tfidf = np.array([[1, 0], [0, 0]], np.uint8)
    vectors = np.array([[0, 0], [2, 2], [0, 0], [0, 0], [-2, 2]], np.float32)
    return {
        "documents": stored_table(DocumentsRef, table),
        "labels": stored_folder(LabelsRef, write_labels),
        "classifier": stored_folder(
            ClassifierRef, lambda folder: store.write_json(folder / "thresholds.json", THRESHOLDS)
        ),
        "probabilities": store.get_or_create("test", [], ProbabilitiesRef, write_probabilities),
        "baseline": stored_folder(ScoresRef, lambda folder: np.save(folder / "tfidf.npy", tfidf)),
        "vectors": stored_table(VectorsRef, store.vectors_table(table["id"], vectors)),
        "network": None,
    }


@pytest.mark.parametrize(("protocol", "prefix"), [("held-out", "test"), ("blog", "blog")])
def test_labelled_test_movies_are_scored_with_the_thresholds_of_their_genres(
    inputs, protocol, prefix, caplog
):
    """Predicted are Horror and War: two of three labels, nothing wrong; TF-IDF finds one."""
    with caplog.at_level(logging.INFO):
        scores = evaluate.fn(**inputs, protocol=protocol)
    metrics = store.read_json(store.locate(scores) / "metrics.json")
    assert scores.rows == 2
    assert metrics[f"{prefix}_f1_micro"] == pytest.approx(4 / 5)
    assert metrics[f"{prefix}_precision_micro"] == 1
    assert metrics["genres_learnt"] == 2
    assert metrics[f"{prefix}_movies"] == 2
    assert metrics[f"{prefix}_movies_left_out"] == 1
    assert metrics[f"{prefix}_f1_micro_high"] == 1
    assert metrics[f"{prefix}_f1_micro_over_tfidf_high"] == pytest.approx(2 / 3)
    ends = [f"f1_{average}_{end}" for average in ("micro", "macro") for end in ("low", "high")]
    others = {name for name in metrics if not name.startswith(prefix)}
    assert others == {"genres_learnt", *(f"baseline_tfidf_{end}" for end in ends)}
    assert metrics["baseline_tfidf_f1_micro_high"] == pytest.approx(1)
    assert messages(caplog) == [f"{prefix}_f1_micro 0.800 on 2 movies ({protocol} protocol)"]


def test_the_network_alone_is_scored_with_its_own_thresholds(inputs):
    """Its logits are the vectors. It finds Horror of the first test movie, and nothing of War."""
    layer = Layer(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    thresholds = {"Horror": 0.5, "War": 0.99}
    network = stored_folder(
        ClassifierRef,
        lambda folder: save_classifier(Classifier([layer]), thresholds, folder),
    )
    scores = evaluate.fn(**inputs | {"network": network}, protocol="held-out")
    metrics = store.read_json(store.locate(scores) / "metrics.json")
    assert metrics["test_f1_micro"] == pytest.approx(4 / 5)
    assert metrics["member_network_f1_micro"] == pytest.approx(1 / 2)
    assert metrics["member_network_f1_macro"] == pytest.approx(1 / 3)
    assert metrics["test_f1_micro_over_network_high"] > 0
    assert metrics["member_network_f1_micro_high"] <= 1
    table = pq.read_table(store.locate(scores) / "test_predictions.parquet")
    assert table["network_genres"].to_pylist() == [["Horror"], []]


def test_a_network_of_words_is_scored_on_the_texts_of_the_test_movies(inputs):
    """It finds Horror in the first text and War in the last: two of three labels, nothing wrong."""
    words = WordVectors({"word1": 0, "word4": 1}, np.array([[9, -9], [-9, 9]], np.float32))
    layer = Layer(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    classifier = Classifier([layer], words=words)
    network = stored_folder(
        ClassifierRef,
        lambda folder: save_classifier(classifier, {"Horror": 0.6, "War": 0.6}, folder),
    )
    scores = evaluate.fn(**inputs | {"network": network}, protocol="held-out")
    metrics = store.read_json(store.locate(scores) / "metrics.json")
    assert metrics["member_network_f1_micro"] == pytest.approx(4 / 5)


def test_the_tables_of_an_evaluation_are_those_of_the_labelled_test_movies(inputs):
    folder = store.locate(evaluate.fn(**inputs, protocol="held-out"))
    tables = {file.stem: pq.read_table(file) for file in folder.glob("*.parquet")}
    assert set(tables) == {"genres", "slices", "mistakes", "test_predictions"}
    assert tables["genres"]["threshold"].to_pylist() == pytest.approx([0.4, 0.7])
    assert tables["test_predictions"]["id"].to_pylist() == [1, 4]
    assert tables["test_predictions"]["predicted_genres"].to_pylist() == [["Horror"], ["War"]]
    assert tables["test_predictions"]["tfidf_genres"].to_pylist() == [["Horror"], []]


def test_an_evaluation_without_labelled_test_movies_is_an_error(inputs):
    table = store.read(inputs["documents"])
    others = table.set_column(table.column_names.index("split"), "split", [["train"] * 5])
    with pytest.raises(UserError, match="No movie with a learned genre is in the test split"):
        evaluate.fn(
            **inputs | {"documents": stored_table(DocumentsRef, others)}, protocol="held-out"
        )


def test_the_tables_are_shown_as_artifacts(inputs, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        evaluation,
        "show_table",
        lambda rows, key, description: shown.update({key: (len(rows), description)}),
    )
    evaluate.fn(**inputs, protocol="held-out")
    assert set(shown) == {"genres", "slices", "mistakes"}
    scores = "Scores of each genre, its movies, and its probability threshold"
    assert shown["genres"] == (2, f"{scores} (test movies, held-out protocol).")
