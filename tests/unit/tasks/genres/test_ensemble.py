import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from tasks.core.contracts import ClassifierRef, DocumentsRef, LabelsRef, LinearRef, VectorsRef
from tasks.core.storage import store
from tasks.genres import ensemble
from tasks.genres.calibration import fit_beta_calibration, fit_calibration
from tasks.genres.config import ClassifierConfig
from tasks.genres.ensemble import (
    PRIOR_MOVIES,
    ValidationMovies,
    combine,
    fit_ensemble,
    linear_share,
)
from tasks.genres.inference import (
    BetaCalibration,
    Classifier,
    Layer,
    genre_probabilities,
    load_classifier,
    save_classifier,
)
from tasks.genres.linear import LinearModel, fit_vectorizer, save_linear_model
from tasks.genres.metrics import calibration_error, find_best_threshold, micro_f1, tune_thresholds
from tasks.genres.word_vectors import WordVectors
from tests.support.stored import stored_folder, stored_table

GENRES = ["Horror", "War"]
#: The network's logits are the vectors, the linear model's the words.
NETWORK = Classifier([Layer(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))])
WORDS = ("a", "b", "c", "d")  # with logits of Horror of -2, -1, 1 and 2, and of War the opposite
WEIGHT = np.array([[-2, 2], [-1, 1], [1, -1], [2, -2]], np.float32)
LINEAR = LinearModel(fit_vectorizer(list(WORDS), 1), WEIGHT, np.zeros(2, np.float32), 1.0)


def movies(n: int, network: float, linear: float, seed: int = 0) -> ValidationMovies:
    """Movies whose genres depend on both models' logits with these weights."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1.5, (n, 2)).astype(np.float32)
    texts = rng.choice(WORDS, n).tolist()
    logits = network * vectors + linear * LINEAR.logits(texts)
    return ValidationMovies(vectors, texts, (rng.random((n, 2)) < expit(logits)).astype(np.uint8))


@pytest.mark.parametrize(("network", "linear"), [(1.0, 0.0), (0.0, 1.0), (0.7, 0.7)])
def test_the_share_is_that_of_the_better_model(network, linear):
    validation = movies(20_000, network, linear)
    share = linear_share(validation.vectors, LINEAR.logits(validation.texts), validation.labels)
    assert share == pytest.approx(linear / (network + linear), abs=0.06)


def test_the_share_has_the_lowest_log_loss_of_the_weighted_mean():
    """Logits of other sizes than 1, among them 0; with many movies the prior hardly counts."""
    rng = np.random.default_rng(4)
    network, linear = rng.normal(0, 2, (2, 20_000, 2)).round(1)
    labels = (rng.random((20_000, 2)) < expit(0.75 * network + 0.25 * linear)).astype(np.uint8)
    assert linear_share(network, linear, labels) == pytest.approx(0.25, abs=0.03)


def test_few_movies_say_little_about_the_share():
    labels = np.array([[1, 0]] * 20, np.uint8)
    right, wrong = np.where(labels, 3.0, -3.0), np.where(labels, -3.0, 3.0)
    shares = [linear_share(wrong, right, labels), linear_share(right, wrong, labels)]
    expected = 20 / (20 + PRIOR_MOVIES)
    assert shares == pytest.approx([0.5 + expected / 2, 0.5 - expected / 2])


def test_both_models_together_predict_better_than_each_alone():
    validation, test = movies(5000, 0.8, 0.8), movies(5000, 0.8, 0.8, seed=1)
    classifier, _ = combine(NETWORK, LINEAR, validation, calibrate=True)
    together = genre_probabilities(classifier, test.texts, test.vectors)
    alone = (expit(test.vectors), expit(LINEAR.logits(test.texts)))
    f1 = [find_best_threshold(test.labels, values).f1 for values in (together, *alone)]
    assert f1[0] > max(f1[1:]) + 0.02
    assert calibration_error(test.labels, together) < 0.02


def test_an_uncalibrated_mean_is_that_of_calibrated_models():
    validation = movies(5000, 0.8, 0.8)
    plain, _ = combine(NETWORK, LINEAR, validation, calibrate=False)
    calibrated, _ = combine(NETWORK, LINEAR, validation, calibrate=True)
    assert plain == calibrated._replace(calibration=BetaCalibration())
    assert calibrated.calibration.above > 1  # a mean of calibrated logits is not sure enough


@pytest.fixture
def inputs(monkeypatch) -> dict[str, object]:
    """Stored movies of two splits, of which the train movies have opposite labels."""
    monkeypatch.setattr(ensemble, "get_run_logger", lambda: logging.getLogger("ensemble"))
    validation = movies(600, 0.8, 0.8)
    flipped = validation._replace(labels=1 - validation.labels)
    parts = (validation, flipped)
    ids, texts = pa.array(range(1200)), [text for part in parts for text in part.texts]
    splits = ["validation"] * 600 + ["train"] * 600
    table = pa.table({"id": ids, "split": splits, "document": texts})
    vectors = np.concatenate([part.vectors for part in parts])

    def write_labels(folder):
        np.save(folder / "labels.npy", np.concatenate([part.labels for part in parts]))
        store.write_json(folder / "classes.json", GENRES)

    def write_network(folder):
        save_classifier(NETWORK, dict.fromkeys(GENRES, 0.5), folder)
        store.write_json(folder / "training.json", {"device": "cpu"})
        pq.write_table(pa.table({"epoch": [1]}), folder / "history.parquet")

    return {
        "documents": stored_table(DocumentsRef, table),
        "vectors": stored_table(VectorsRef, store.vectors_table(ids, vectors)),
        "labels": stored_folder(LabelsRef, write_labels),
        "network": stored_folder(ClassifierRef, write_network).model_copy(update={"rows": 1200}),
        "linear": stored_folder(LinearRef, lambda folder: save_linear_model(LINEAR, folder)),
    }


def test_labelled_validation_movies_of_the_second_half_decide(inputs):
    """Train movies, whose labels are the opposite, would make every scale negative."""
    ref = fit_ensemble.fn(**inputs, config=ClassifierConfig())
    assert ref.rows == inputs["network"].rows == 1200
    folder = store.locate(ref)
    stored, validation = load_classifier(folder), movies(600, 0.8, 0.8)
    rows = np.flatnonzero(validation.labels.any(axis=1))[1::2]
    half = ValidationMovies(
        validation.vectors[rows], [validation.texts[row] for row in rows], validation.labels[rows]
    )
    expected, share = combine(NETWORK, LINEAR, half, calibrate=True)
    assert stored.classifier.scale == pytest.approx(expected.scale)
    assert stored.classifier.linear_scale == pytest.approx(expected.linear_scale)
    assert stored.classes == GENRES
    probabilities = genre_probabilities(expected, half.texts, half.vectors)
    thresholds = tune_thresholds(half.labels, probabilities)
    assert stored.thresholds.tolist() == pytest.approx(thresholds.tolist())
    assert micro_f1(half.labels, (probabilities >= thresholds).astype(np.uint8)) > 0.5
    training = store.read_json(folder / "training.json")
    assert training["device"] == "cpu"
    assert training["member_linear_share"] == pytest.approx(share)


def test_fixed_thresholds_and_no_calibration_are_kept(inputs):
    config = ClassifierConfig(threshold=0.7, calibrate=False)
    stored = load_classifier(store.locate(fit_ensemble.fn(**inputs, config=config)))
    tuned = load_classifier(store.locate(fit_ensemble.fn(**inputs, config=ClassifierConfig())))
    assert stored.thresholds.tolist() == pytest.approx([0.7, 0.7])
    assert stored.classifier.calibration != tuned.classifier.calibration


@pytest.mark.parametrize("calibrate", [True, False])
def test_thresholds_suit_calibrated_or_plain_probabilities(calibrate, inputs):
    config = ClassifierConfig(calibrate=calibrate)
    stored = load_classifier(store.locate(fit_ensemble.fn(**inputs, config=config)))
    validation = movies(600, 0.8, 0.8)
    rows = np.flatnonzero(validation.labels.any(axis=1))[1::2]
    probabilities = genre_probabilities(
        stored.classifier, [validation.texts[row] for row in rows], validation.vectors[rows]
    )
    expected = tune_thresholds(validation.labels[rows], probabilities, calibrated=calibrate)
    assert stored.thresholds.tolist() == pytest.approx(expected.tolist())
    assert (stored.thresholds[0] == stored.thresholds[1]) == (not calibrate)


def test_the_ensemble_keeps_the_words_of_its_network(inputs):
    """Its network reads the word of each text, whose vector is the linear model's logit."""
    vectors = np.array([[-2, 2], [-1, 1], [1, -1], [2, -2]], np.float32)
    words = WordVectors({word: row for row, word in enumerate(WORDS)}, vectors)
    folder = store.locate(inputs["network"])
    save_classifier(NETWORK._replace(words=words), dict.fromkeys(GENRES, 0.5), folder)
    ensemble_folder = store.locate(fit_ensemble.fn(**inputs, config=ClassifierConfig()))
    classifier = load_classifier(ensemble_folder).classifier
    nonsense = np.full((2, 2), np.nan, np.float32)
    probabilities = genre_probabilities(classifier, ["a", "d"], nonsense)
    assert probabilities[0, 0] < 0.3 < 0.7 < probabilities[1, 0]


def test_a_catalogue_of_one_genre_has_a_share():
    """All labels are 1, and the models are equal: every share is as good."""
    labels = np.ones((20, 1), np.uint8)
    logits = np.full((20, 1), 3.0, np.float32)
    assert 0 <= linear_share(logits, logits, labels) <= 1


def test_the_classifier_is_the_calibrated_mean_of_calibrated_models():
    """A network and a linear model whose logits have other scales and shifts than the truth."""
    network = Classifier([Layer(np.eye(2, dtype=np.float32) * 2, np.full(2, 1, np.float32))])
    linear = LINEAR._replace(weight=WEIGHT / 2, bias=np.full(2, -1, np.float32))
    validation = movies(5000, 0.9, 0.5)
    labels, logits = (
        validation.labels,
        (2 * validation.vectors + 1, linear.logits(validation.texts)),
    )
    first, second = (fit_calibration(values, labels) for values in logits)
    assert (first.scale, first.shift) == pytest.approx((0.45, -0.45), abs=0.15)
    calibrated = (first.apply(logits[0]), second.apply(logits[1]))
    share = linear_share(*calibrated, labels)
    mean = (1 - share) * calibrated[0] + share * calibrated[1]
    for calibrate in (False, True):
        expected = fit_beta_calibration(mean, labels).apply(mean) if calibrate else mean
        classifier, _ = combine(network, linear, validation, calibrate=calibrate)
        together = genre_probabilities(classifier, validation.texts, validation.vectors)
        assert together == pytest.approx(expit(expected), abs=1e-4)


def test_the_record_of_the_training_is_kept_and_its_times_are_in_no_digest(inputs):
    digests = []
    for seconds in (1, 2):
        folder = store.locate(inputs["network"])
        store.write_json(folder / "training.json", {"seconds": seconds})
        store.invalidate_cache()
        ref = fit_ensemble.fn(**inputs, config=ClassifierConfig())
        digests.append(ref.digest)
        assert store.read_json(store.locate(ref) / "training.json")["seconds"] == seconds
        assert (store.locate(ref) / "history.parquet").exists()
    assert digests[0] == digests[1]
