import json

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
from tasks.genres.word_vectors import WordVectors


def random_layer(inputs: int, outputs: int, seed: int) -> Layer:
    random = np.random.default_rng(seed)
    shapes = ((inputs, outputs), (outputs,))
    return Layer(*(random.normal(size=shape).astype(np.float32) for shape in shapes))


def probabilities_of(classifier: Classifier, vectors: np.ndarray) -> np.ndarray:
    return genre_probabilities(classifier, [""] * len(vectors), vectors)


def test_logits_are_scaled_and_shifted():
    layer = Layer(np.array([[2.0]], np.float32), np.zeros(1, np.float32))
    probabilities = probabilities_of(Classifier([layer], 2.0, -1.0), np.array([[0.5]], np.float32))
    assert probabilities == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_relu_is_applied_between_layers():
    identity = Layer(np.array([[1.0]], np.float32), np.zeros(1, np.float32))
    negative = np.array([[-3.0]], np.float32)
    assert probabilities_of(Classifier([identity, identity]), negative) == pytest.approx(0.5)


def test_hidden_units_are_those_of_the_last_hidden_layer():
    """Of two hidden layers the second; negative units are 0, and the output layer is not used."""
    identity, shifted = (Layer(np.eye(2), np.array([0, shift])) for shift in (0, 5))
    classifier = Classifier([identity, shifted, Layer(np.full((2, 1), 9.0), np.zeros(1))])
    units = hidden_units(classifier, ["", ""], np.array([[1, -1], [0, 2]], np.float32))
    assert units.tolist() == [[1, 5], [0, 7]]


#: Of two words, whose vectors stand in the columns.
WORDS = WordVectors({"war": 0, "ghost": 1}, np.array([[1, 2, 0, 4], [0, 6, 3, 5]], np.float32))


def test_a_network_with_words_reads_documents_and_no_vectors():
    classifier = Classifier([random_layer(4, 2, 0)], words=WORDS)
    documents, nonsense = ["war unknown ghost war", "unknown"], np.full((2, 9), np.nan)
    logits = network_logits(classifier, documents, nonsense)
    expected = np.array([[2, 10, 3, 13], [0, 0, 0, 0]]) / [[3**0.5], [1]]
    (layer,) = classifier.layers
    assert logits == pytest.approx(expected @ layer.weight + layer.bias)


@pytest.mark.parametrize("words", [None, WORDS])
def test_stored_classifier_gives_equal_probabilities(words, tmp_path):
    layers = [random_layer(4, 3, 0), random_layer(3, 2, 9)]
    classifier = Classifier(layers, 1.5, 0.25, words)
    vectors = np.random.default_rng(5).normal(size=(2, 4)).astype(np.float32)
    save_classifier(classifier, {"War": 0.3, "Drama": 0.4}, tmp_path)
    loaded = load_classifier(tmp_path)
    texts = ["war ghost", "ghost"]
    assert np.array_equal(
        genre_probabilities(classifier, texts, vectors),
        genre_probabilities(loaded.classifier, texts, vectors),
    )
    assert loaded.classes == ["War", "Drama"]
    assert loaded.thresholds.tolist() == pytest.approx([0.3, 0.4])


def test_weights_that_are_pickled_objects_are_refused(tmp_path):
    """Loading a pickle runs code."""
    classifier = Classifier([random_layer(4, 2, 0)])
    save_classifier(classifier, {"War": 0.3}, tmp_path)
    objects = np.array([{}], dtype=object)
    np.savez(tmp_path / "weights.npz", **{"0/0/weight": objects, "0/0/bias": objects})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_classifier(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        save_classifier(Classifier([Layer(objects, objects)]), {}, tmp_path)


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_versions_with_several_networks_are_still_read(depth, members, tmp_path):
    """As they were published until November 2026: their logits are averaged."""
    sizes = [4, *([3] * (depth - 1)), 2]
    networks = [
        [random_layer(*sizes[n : n + 2], seed=10 * number + n) for n in range(depth)]
        for number in range(members)
    ]
    arrays = {
        f"{number}/{n}/{name}": value
        for number, layers in enumerate(networks)
        for n, layer in enumerate(layers)
        for name, value in layer._asdict().items()
    }
    np.savez(tmp_path / "weights.npz", **arrays)
    config = {"members": members, "layers": depth, "scale": 1.5, "shift": -0.5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "thresholds.json").write_text('{"War": 0.3, "Drama": 0.4}')
    vectors = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    each = [network_logits(Classifier(layers), [""] * 6, vectors) for layers in networks]
    expected = expit(1.5 * np.mean(each, axis=0) - 0.5)
    loaded = load_classifier(tmp_path).classifier
    assert probabilities_of(loaded, vectors) == pytest.approx(expected, abs=1e-6)
    assert (loaded.linear, loaded.linear_scale) == (None, 0.0)


def with_linear_model() -> Classifier:
    train = LabelledTexts(["ghost", "war"] * 5, np.tile(np.eye(2, dtype=np.uint8), (5, 1)))
    linear = fit_linear_model(train, train, BaselineConfig(), 0.0)
    return Classifier([random_layer(4, 2, 0)], 0.5, -1.0, linear=linear, linear_scale=2.0)


def test_the_logits_of_a_linear_model_are_added():
    classifier, vectors = with_linear_model(), np.ones((2, 4), np.float32)
    texts = ["ghost ghost", "unknown"]
    logits = 0.5 * network_logits(classifier, texts, vectors) - 1
    logits += 2 * classifier.linear.logits(texts)
    assert genre_probabilities(classifier, texts, vectors) == pytest.approx(expit(logits))


def test_a_stored_classifier_with_a_linear_model_gives_equal_probabilities(tmp_path):
    classifier, vectors = with_linear_model(), np.ones((2, 4), np.float32)
    save_classifier(classifier, {"Horror": 0.3, "War": 0.4}, tmp_path)
    loaded = load_classifier(tmp_path).classifier
    texts = ["ghost war", ""]
    expected = genre_probabilities(classifier, texts, vectors)
    assert np.array_equal(genre_probabilities(loaded, texts, vectors), expected)
