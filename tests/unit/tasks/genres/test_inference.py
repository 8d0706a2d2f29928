import numpy as np
import pytest

from tasks.genres.inference import (
    Classifier,
    Layer,
    genre_probabilities,
    hidden_units,
    load_classifier,
    save_classifier,
)


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
