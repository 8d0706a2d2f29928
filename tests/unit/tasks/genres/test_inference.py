import numpy as np
import pytest
from scipy.special import expit

from tasks.genres.inference import (
    Classifier,
    Layer,
    genre_probabilities,
    hidden_units,
    load_classifier,
    network_logits,
    save_classifier,
)
from tasks.genres.linear import BaselineConfig, LabelledTexts, fit_linear_model


def random_layer(inputs: int, outputs: int, seed: int) -> Layer:
    random = np.random.default_rng(seed)
    shapes = ((inputs, outputs), (outputs,))
    return Layer(*(random.normal(size=shape).astype(np.float32) for shape in shapes))


def test_logits_are_averaged_then_scaled_and_shifted():
    members = [[Layer(np.array([[weight]], np.float32), np.zeros(1))] for weight in (1.0, 3.0)]
    probabilities = genre_probabilities(
        Classifier(members, 2.0, -1.0), np.array([[0.5]], np.float32)
    )
    assert probabilities == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_relu_is_applied_between_layers():
    identity = Layer(np.array([[1.0]], np.float32), np.zeros(1, np.float32))
    probabilities = genre_probabilities(
        Classifier([[identity, identity]], 1.0, 0.0), np.array([[-3.0]], np.float32)
    )
    assert probabilities == pytest.approx(0.5)


def test_hidden_units_are_the_last_hidden_layers_of_all_members():
    """Of two hidden layers the second; negative units are 0, and the output layer is not used."""
    identity, double = (Layer(np.eye(2) * scale, np.zeros(2)) for scale in (1, 2))
    shifted, output = Layer(np.eye(2), np.array([0, 5])), Layer(np.full((2, 1), 9.0), np.zeros(1))
    classifier = Classifier([[identity, shifted, output], [double, identity, output]], 1.0, 0.0)
    units = hidden_units(classifier, np.array([[1, -1], [0, 2]], np.float32))
    assert units.tolist() == [[1, 5, 2, 0], [0, 7, 0, 4]]


def test_stored_classifier_gives_equal_probabilities(tmp_path):
    classifier = Classifier(
        [[random_layer(4, 3, n), random_layer(3, 2, n + 9)] for n in range(2)], 1.5, 0.25
    )
    vectors = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    save_classifier(classifier, {"War": 0.3, "Drama": 0.4}, tmp_path)
    loaded = load_classifier(tmp_path)
    assert np.array_equal(
        genre_probabilities(classifier, vectors), genre_probabilities(loaded.classifier, vectors)
    )
    assert loaded.classes == ["War", "Drama"]
    assert loaded.thresholds.tolist() == pytest.approx([0.3, 0.4])


def test_weights_that_are_pickled_objects_are_refused(tmp_path):
    """Loading a pickle runs code."""
    classifier = Classifier([[random_layer(4, 2, 0)]], 1.0, 0.0)
    save_classifier(classifier, {"War": 0.3}, tmp_path)
    objects = np.array([{}], dtype=object)
    np.savez(tmp_path / "weights.npz", **{"0/0/weight": objects, "0/0/bias": objects})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_classifier(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        save_classifier(Classifier([[Layer(objects, objects)]], 1.0, 0.0), {}, tmp_path)


def with_linear_model() -> Classifier:
    train = LabelledTexts(["ghost", "war"] * 5, np.tile(np.eye(2, dtype=np.uint8), (5, 1)))
    linear = fit_linear_model(train, train, BaselineConfig(), 0.0)
    return Classifier([[random_layer(4, 2, 0)]], 0.5, -1.0, linear, linear_scale=2.0)


def test_the_logits_of_a_linear_model_are_added():
    classifier, vectors = with_linear_model(), np.ones((2, 4), np.float32)
    texts = ["ghost ghost", "unknown"]
    logits = 0.5 * network_logits(classifier, vectors) - 1
    logits += 2 * classifier.linear.logits(texts)
    assert genre_probabilities(classifier, vectors, texts) == pytest.approx(expit(logits))


def test_a_stored_classifier_with_a_linear_model_gives_equal_probabilities(tmp_path):
    classifier, vectors = with_linear_model(), np.ones((2, 4), np.float32)
    save_classifier(classifier, {"Horror": 0.3, "War": 0.4}, tmp_path)
    loaded = load_classifier(tmp_path).classifier
    texts = ["ghost war", ""]
    expected = genre_probabilities(classifier, vectors, texts)
    assert np.array_equal(genre_probabilities(loaded, vectors, texts), expected)


def test_a_linear_model_needs_documents():
    """Without them, the probabilities would be those of the network alone."""
    with pytest.raises(ValueError, match="needs the documents"):
        genre_probabilities(with_linear_model(), np.ones((1, 4), np.float32))
