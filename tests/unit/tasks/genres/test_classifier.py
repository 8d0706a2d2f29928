"""Which movies the classifier is trained, tuned and calibrated on."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from tasks.core.compute import Compute
from tasks.core.contracts import Doc2VecRef, DocumentsRef, LabelsRef, UserError, VectorsRef
from tasks.core.storage import store
from tasks.genres import classifier, validation
from tasks.genres.classifier import (
    _load_examples,
    _save_training_record,
    _to_classifier,
    fit_network,
    predict_genres,
)
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import genre_probabilities, load_classifier
from tasks.genres.metrics import expected_best_f1, find_best_threshold, tune_thresholds
from tasks.genres.network import training
from tasks.genres.network.checkpoints import Epoch
from tasks.genres.network.modules import GenreNetwork, Standardiser
from tasks.genres.network.training import Examples
from tests.support.stored import stored_folder, stored_table

CPU = torch.device("cpu")
GENRES = ["Horror", "War"]
#: Split and labels of each movie; its vector is its row number twice.
SPLITS = ["train", "test", "validation", "train", "train", "validation", "test"]
LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, 1], [0, 1], [1, 0]], np.uint8)
TINY = ClassifierConfig(hidden=(4,), epochs=2, batch_size=3, device="cpu")


def stored_words() -> Doc2VecRef:
    """A model of six words, as training writes it."""
    vectors = np.random.default_rng(7).normal(size=(6, 4)).astype(np.float32)

    def write(folder):
        names = [f"word{number}" for number in range(6)]
        pq.write_table(pa.table({"word": names, "count": [1] * 6}), folder / "vocabulary.parquet")
        np.save(folder / "hidden.npy", vectors)

    return stored_folder(Doc2VecRef, write)


def stored_inputs(
    splits: list[str] = SPLITS, labels: np.ndarray = LABELS
) -> tuple[DocumentsRef, VectorsRef, LabelsRef]:
    ids = pa.array(range(len(splits)))
    vectors = np.repeat(np.arange(len(splits), dtype=np.float32)[:, None], 2, axis=1)
    texts = [f"word{number}" for number in range(len(splits))]
    table = pa.table({"id": ids, "split": splits, "document": texts})
    documents = stored_table(DocumentsRef, table)

    def write_labels(folder):
        np.save(folder / "labels.npy", labels)
        store.write_json(folder / "classes.json", GENRES)

    embeddings = stored_table(VectorsRef, store.vectors_table(ids, vectors))
    return documents, embeddings, stored_folder(LabelsRef, write_labels)


@pytest.fixture(autouse=True)
def plain_logger(monkeypatch):
    monkeypatch.setattr(classifier, "get_run_logger", lambda: logging.getLogger("classifier"))


def test_examples_are_the_labelled_movies_of_train_and_of_validation():
    documents, vectors, labels = stored_inputs()
    train, validation = _load_examples(documents, vectors, labels, CPU)
    assert train.inputs.tolist() == [[0, 0], [4, 4]]
    assert train.labels.tolist() == [[1, 0], [0, 1]]
    assert validation.inputs.tolist() == [[2, 2], [5, 5]]
    assert validation.labels.tolist() == [[1, 1], [0, 1]]


def test_examples_are_on_the_device():
    train, _ = _load_examples(*stored_inputs(), torch.device("meta"))
    assert (train.inputs.device.type, train.labels.device.type) == ("meta", "meta")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_labelled_movies_is_an_error(split):
    other = [name if name != split else "test" for name in SPLITS]
    with pytest.raises(UserError, match=f"The {split} split has 0 movies"):
        _load_examples(*stored_inputs(other), CPU)


def test_examples_for_a_doc2vec_model_are_the_numbers_of_its_words():
    documents, _, labels = stored_inputs()
    train, validation = _load_examples(documents, stored_words(), labels, CPU)
    assert train.inputs.tolist() == [[1], [5]]
    assert validation.inputs.tolist() == [[3], [6]]


def tuned(config: ClassifierConfig) -> list[float]:
    """Thresholds of a network without weights of its own: the logits are the vectors."""
    encoder = Standardiser(torch.zeros(1), torch.ones(1))
    network = GenreNetwork(encoder, 2, (), 0.0)
    network.layers = torch.nn.Sequential(linear := torch.nn.Linear(1, 2))
    torch.nn.init.ones_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    labels = torch.tensor([[0.0, 0], [1, 0], [1, 0], [1, 1]])
    movies = Examples(torch.tensor([[-1.0], [0.0], [1.0], [2.0]]), labels)
    return _to_classifier(network, movies, {}, config)[1].tolist()


def test_thresholds_are_tuned_on_the_validation_split():
    """From logit 0 on, 4 of 6 pairs are right: the best F1, 8/10."""
    assert tuned(ClassifierConfig(calibrate=False)) == pytest.approx([0.5, 0.5])
    assert tuned(ClassifierConfig(threshold=0.6)) == pytest.approx([0.6, 0.6])
    of_a_genre = expected_best_f1(expit(np.array([-1.0, 0, 1, 2])))
    assert tuned(ClassifierConfig()) == pytest.approx([(0.4 + of_a_genre / 2) / 2] * 2)


def test_the_stored_threshold_is_the_best_on_labelled_validation_movies():
    splits = ["train", "train", "train", "validation", "test"] * 20
    labels = (np.random.default_rng(0).random((100, 2)) < [0.3, 0.6]).astype(np.uint8)
    documents, vectors, stored_labels = stored_inputs(splits, labels)
    config = ClassifierConfig(hidden=(4,), epochs=2, calibrate=False, device="cpu")
    fitted = fit_network.fn(documents, vectors, stored_labels, config, Compute())
    loaded = load_classifier(store.locate(fitted))
    rows = (np.array(splits) == "validation") & labels.any(axis=1)
    embeddings = store.select_vectors(vectors, rows)
    probabilities = genre_probabilities(loaded.classifier, [""] * len(embeddings), embeddings)
    best = find_best_threshold(labels[rows], probabilities)
    assert loaded.thresholds.tolist() == pytest.approx([best.threshold] * 2)


def test_thresholds_are_tuned_on_movies_that_training_did_not_stop_on(monkeypatch):
    monkeypatch.setattr(validation, "MIN_HALF_OF_VALIDATION", 5)
    splits = ["train", "train", "train", "validation", "test"] * 20
    labels = (np.random.default_rng(0).random((100, 2)) < [0.3, 0.6]).astype(np.uint8)
    documents, vectors, stored_labels = stored_inputs(splits, labels)
    fitted = fit_network.fn(documents, vectors, stored_labels, TINY, Compute())
    loaded = load_classifier(store.locate(fitted))
    rows = np.flatnonzero((np.array(splits) == "validation") & labels.any(axis=1))[1::2]
    is_choosing = np.isin(np.arange(100), rows)
    embeddings = store.select_vectors(vectors, is_choosing)
    probabilities = genre_probabilities(loaded.classifier, [""] * len(embeddings), embeddings)
    expected = tune_thresholds(labels[is_choosing], probabilities)
    assert loaded.thresholds.tolist() == pytest.approx(expected.tolist())


def test_training_stops_on_the_other_half_of_the_validation_movies(monkeypatch):
    monkeypatch.setattr(validation, "MIN_HALF_OF_VALIDATION", 5)
    splits = ["train", "train", "train", "validation", "test"] * 20
    labels = (np.random.default_rng(0).random((100, 2)) < [0.3, 0.6]).astype(np.uint8)
    stopping, train_network = [], training.train_network

    def record(train: Examples, validation_movies: Examples, **settings: object):
        stopping.append(validation_movies)
        return train_network(train, validation_movies, **settings)

    monkeypatch.setattr(training, "train_network", record)
    fit_network.fn(*stored_inputs(splits, labels), TINY, Compute())
    rows = np.flatnonzero((np.array(splits) == "validation") & labels.any(axis=1))[0::2]
    assert stopping[0].inputs[:, 0].tolist() == rows.tolist()
    assert stopping[0].labels.tolist() == labels[rows].tolist()


def test_logits_are_calibrated_on_labelled_validation_movies():
    """The same training without calibration has the logits that scale and shift are fitted to."""
    splits = ["train", "train", "train", "validation", "test"] * 200
    noise = np.random.default_rng(0).normal(0, 0.3, (1000, 2))
    labels = (np.linspace(0, 1, 1000)[:, None] + noise > 0.5).astype(np.uint8)
    inputs = stored_inputs(splits, labels)
    plain, calibrated = (
        load_classifier(store.locate(fit_network.fn(*inputs, config, Compute()))).classifier
        for config in (
            TINY.model_copy(update={"batch_size": 64, "calibrate": is_calibrated})
            for is_calibrated in (False, True)
        )
    )
    rows = (np.array(splits) == "validation") & labels.any(axis=1)
    embeddings = store.select_vectors(inputs[1], rows)
    logits = logit(genre_probabilities(plain, [""] * len(embeddings), embeddings))
    platt = LogisticRegression().fit(logits.reshape(-1, 1), labels[rows].ravel())
    assert calibrated.scale == pytest.approx(platt.coef_[0, 0], rel=1e-3)
    assert calibrated.shift == pytest.approx(platt.intercept_[0], abs=1e-3)


def test_a_training_record_has_history_speed_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "peak_memory_mb", lambda device: 123.0)
    epochs = [Epoch(number, 0.5, 0.4, 0.3, seconds=2.0) for number in (1, 2)]
    _save_training_record(epochs, documents=100, device=CPU, folder=tmp_path)
    assert pq.read_table(tmp_path / "history.parquet").to_pylist() == [
        {"epoch": number, "train_loss": 0.5, "val_loss": 0.4, "val_f1_micro": 0.3}
        for number in (1, 2)
    ]
    assert store.read_json(tmp_path / "training.json") == {
        **{"device": "cpu", "train_seconds": 4.0},
        **{"train_samples_per_second": 50.0, "train_peak_memory_mb": 123.0},
    }


def test_a_classifier_is_stored_with_its_genres_thresholds_and_calibration(caplog):
    inputs = stored_inputs()
    with caplog.at_level(logging.INFO):
        ref = fit_network.fn(*inputs, TINY.model_copy(update={"threshold": 0.6}), Compute())
    loaded = load_classifier(store.locate(ref))
    assert (ref.rows, loaded.classes) == (2, GENRES)
    assert loaded.thresholds.tolist() == pytest.approx([0.6, 0.6])
    assert "2 movies, 2 epochs on cpu" in caplog.text


def test_a_training_can_resume_from_the_checkpoint_of_its_entry(monkeypatch):
    checkpoints = []
    train_network = training.train_network

    def record(*examples: Examples, checkpoint: Path, **settings: object):
        checkpoints.append(checkpoint)
        return train_network(*examples, checkpoint=checkpoint, **settings)

    monkeypatch.setattr(training, "train_network", record)
    ref = fit_network.fn(*stored_inputs(), TINY, Compute())
    entry = store.locate(ref)
    assert checkpoints == [entry.with_name(f".work-{entry.name}") / "network.pt"]


def test_a_network_of_words_starts_from_their_directions_and_is_stored_with_them():
    """A learning rate of almost nothing leaves them as they are."""
    documents, _, labels = stored_inputs()
    config = TINY.model_copy(update={"word_learning_rate": 1e-12})
    model = stored_words()
    folder = store.locate(fit_network.fn(documents, model, labels, config, Compute()))
    words = load_classifier(folder).classifier.words
    assert list(words.row_by_word) == [f"word{number}" for number in range(6)]
    directions = normalize(np.load(store.locate(model) / "hidden.npy"))
    assert np.asarray(words.vectors) == pytest.approx(directions, abs=1e-3)


def test_thresholds_and_calibration_are_those_of_the_stored_network_of_words():
    splits = ["train", "train", "train", "validation", "test"] * 100
    labels = (np.random.default_rng(0).random((500, 2)) < [0.3, 0.6]).astype(np.uint8)
    documents, vectors, stored_labels = stored_inputs(splits, labels)
    config = TINY.model_copy(update={"batch_size": 64})
    fitted = fit_network.fn(documents, stored_words(), stored_labels, config, Compute())
    loaded = load_classifier(store.locate(fitted))
    is_choosing = (np.array(splits) == "validation") & labels.any(axis=1)
    texts = store.read(documents)["document"].filter(pa.array(is_choosing)).to_pylist()
    embeddings = store.select_vectors(vectors, is_choosing)
    probabilities = genre_probabilities(loaded.classifier, texts, embeddings)
    expected = tune_thresholds(labels[is_choosing], probabilities)
    assert loaded.thresholds.tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_equal_trainings_have_equal_digests():
    """Times and memory are not part of the digest."""
    first = fit_network.fn(*stored_inputs(), TINY, Compute())
    store.invalidate_cache()
    second = fit_network.fn(*stored_inputs(), TINY, Compute())
    assert first.paths != second.paths
    assert first.digest == second.digest


@pytest.fixture(scope="module")
def labels_by_split() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: (rng.random((60, 2)) < 0.5).astype(np.uint8)
        for name in ("train", "validation", "test")
    }


@pytest.mark.parametrize("flipped", ["train", "validation", "test"])
def test_labels_of_test_movies_change_nothing(labels_by_split, flipped):
    """Those of the others do: of the training movies the weights, of validation the calibration."""
    splits = [name for name in labels_by_split for _ in range(60)]
    config = TINY.model_copy(update={"hidden": (2,), "epochs": 1, "batch_size": 64})
    changed = labels_by_split | {flipped: 1 - labels_by_split[flipped]}
    digests = [
        fit_network.fn(
            *stored_inputs(splits, np.concatenate(list(labels.values()))), config, Compute()
        ).digest
        for labels in (labels_by_split, changed)
    ]
    assert (digests[0] == digests[1]) == (flipped == "test")


def test_a_classifier_of_words_reads_the_documents():
    """All vectors are equal, the documents are not."""
    documents, _, labels = stored_inputs()
    fitted = fit_network.fn(documents, stored_words(), labels, TINY, Compute())
    table = store.read(documents)
    equal = np.ones((table.num_rows, 2), np.float32)
    vectors = stored_table(VectorsRef, store.vectors_table(table["id"], equal))
    probabilities = np.load(store.locate(predict_genres.fn(fitted, vectors, documents, Compute())))
    loaded = load_classifier(store.locate(fitted)).classifier
    texts = table["document"].to_pylist()
    assert probabilities == pytest.approx(genre_probabilities(loaded, texts, equal))
    assert len(np.unique(probabilities, axis=0)) > 1


def test_probabilities_are_those_of_every_movie_in_order():
    documents, vectors, labels = stored_inputs()
    fitted = fit_network.fn(documents, vectors, labels, TINY, Compute())
    twice = store.join([documents, documents])
    ref = predict_genres.fn(fitted, store.join([vectors, vectors]), twice, Compute())
    probabilities = np.load(store.locate(ref))
    loaded = load_classifier(store.locate(fitted)).classifier
    embeddings = store.matrix(store.read(vectors))
    expected = genre_probabilities(loaded, [""] * len(embeddings), embeddings)
    assert ref.rows == len(probabilities) == 14
    assert probabilities[:7] == pytest.approx(expected)
    assert probabilities[7:] == pytest.approx(expected)
