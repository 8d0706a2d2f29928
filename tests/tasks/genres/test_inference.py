import numpy as np
import pytest

from tasks.genres.inference import (
    Classifier,
    Layer,
    genre_probabilities,
    load_classifier,
    save_classifier,
)


def layer(inputs: int, outputs: int, seed: int) -> Layer:
    random = np.random.default_rng(seed)
    shapes = ((inputs, outputs), (outputs,))
    return Layer(*(random.normal(size=shape).astype(np.float32) for shape in shapes))


def test_logits_are_averaged_then_scaled_and_shifted():
    members = [[Layer(np.array([[weight]], np.float32), np.zeros(1))] for weight in (1.0, 3.0)]
    said = genre_probabilities(Classifier(members, 2.0, -1.0), np.array([[0.5]], np.float32))
    assert said == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_units_below_zero_are_cut_between_layers():
    one = Layer(np.array([[1.0]], np.float32), np.zeros(1, np.float32))
    said = genre_probabilities(Classifier([[one, one]], 1.0, 0.0), np.array([[-3.0]], np.float32))
    assert said == pytest.approx(0.5)


def test_a_stored_classifier_answers_as_before(tmp_path):
    classifier = Classifier([[layer(4, 3, n), layer(3, 2, n + 9)] for n in range(2)], 1.5, 0.25)
    vectors = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    save_classifier(classifier, {"War": 0.3, "Drama": 0.4}, tmp_path)
    again = load_classifier(tmp_path)
    assert np.array_equal(
        genre_probabilities(classifier, vectors), genre_probabilities(again.classifier, vectors)
    )
    assert again.classes == ["War", "Drama"]
    assert again.thresholds.tolist() == pytest.approx([0.3, 0.4])
