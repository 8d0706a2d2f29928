"""A stored classifier's weights -> genre probabilities, without torch.

Inference needs a few matrix products. torch, which trained the weights, takes seconds to load.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.special import expit

from tasks.core.storage import store
from tasks.genres.linear import LinearModel, load_linear_model, save_linear_model
from tasks.genres.word_vectors import (
    WordVectors,
    load_word_vectors,
    save_word_vectors,
    sum_word_vectors,
)

Array = NDArray[np.float32]


class Layer(NamedTuple):
    """A linear layer with batch norm folded in: `weight` (n_inputs, n_outputs), `bias`."""

    weight: Array
    bias: Array


class BetaCalibration(NamedTuple):
    """Calibrated logits, whose slope is `below` for low logits and `above` for high ones."""

    below: float = 1.0
    above: float = 1.0
    shift: float = 0.0

    def apply(self, logits: Array) -> Array:
        """Calibrated logits (n, n_genres); with the default values, the same logits."""
        high, low = np.logaddexp(0, logits), np.logaddexp(0, -logits)
        return (self.above * high - self.below * low + self.shift).astype(np.float32)


class Classifier(NamedTuple):
    """The logits of a network (`layers`) times `scale` plus `shift`, calibrated.

    The network reads document vectors, or sums of its own word vectors (`words`). With a linear
    model, its logit times `linear_scale` is added before `calibration`.
    """

    layers: list[Layer]
    scale: float = 1.0
    shift: float = 0.0
    words: WordVectors | None = None
    linear: LinearModel | None = None
    linear_scale: float = 0.0
    calibration: BetaCalibration = BetaCalibration()


class LoadedClassifier(NamedTuple):
    """A classifier, the names of its genres and their probability thresholds (n_genres,)."""

    classifier: Classifier
    classes: list[str]
    thresholds: Array


def genre_probabilities(classifier: Classifier, documents: Sequence[str], vectors: Array) -> Array:
    """Genre probabilities (n, n_genres) of documents (n) and their vectors (n, size)."""
    logits = classifier.scale * network_logits(classifier, documents, vectors) + classifier.shift
    if classifier.linear:
        logits += classifier.linear_scale * classifier.linear.logits(documents)
    probabilities: Array = expit(classifier.calibration.apply(logits)).astype(np.float32)
    return probabilities


def network_logits(classifier: Classifier, documents: Sequence[str], vectors: Array) -> Array:
    """Logits (n, n_genres) of the network, not calibrated; arguments as above."""
    output = classifier.layers[-1]
    logits: Array = hidden_units(classifier, documents, vectors) @ output.weight + output.bias
    return logits


def hidden_units(classifier: Classifier, documents: Sequence[str], vectors: Array) -> Array:
    """The last hidden layer (n, n_units) of the network; arguments as above."""
    units = sum_word_vectors(classifier.words, documents) if classifier.words else vectors
    for layer in classifier.layers[:-1]:
        units = np.maximum(units @ layer.weight + layer.bias, 0)
    return units


def save_classifier(classifier: Classifier, thresholds: dict[str, float], folder: Path) -> None:
    """Write arrays and JSON, no pickle; `thresholds` by genre, in the order of the outputs."""
    arrays = {
        f"0/{depth}/{name}": value
        for depth, layer in enumerate(classifier.layers)
        for name, value in layer._asdict().items()
    }
    np.savez(folder / "weights.npz", allow_pickle=False, **arrays)
    config = {
        "members": 1,
        "layers": len(classifier.layers),
        "word_vectors": classifier.words is not None,
        "scale": classifier.scale,
        "shift": classifier.shift,
        "linear_scale": classifier.linear_scale,
        "calibration": classifier.calibration._asdict(),
    }
    store.write_json(folder / "config.json", config)
    store.write_json(folder / "thresholds.json", thresholds)
    if classifier.words:
        save_word_vectors(classifier.words, folder)
    if classifier.linear:
        save_linear_model(classifier.linear, folder)


def load_classifier(folder: Path) -> LoadedClassifier:
    """The classifier that `save_classifier` wrote to `folder`.

    Versions published until November 2026 may have several networks, no word vectors of their own,
    no linear model and no calibration of the sum.
    """
    config = store.read_json(folder / "config.json")
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        networks = [
            [
                Layer(arrays[f"{number}/{depth}/weight"], arrays[f"{number}/{depth}/bias"])
                for depth in range(config["layers"])
            ]
            for number in range(config["members"])
        ]
    thresholds = store.read_json(folder / "thresholds.json")
    linear_scale = config.get("linear_scale", 0.0)
    classifier = Classifier(
        layers=_merge(networks),
        scale=config["scale"],
        shift=config["shift"],
        words=load_word_vectors(folder) if config.get("word_vectors") else None,
        linear=load_linear_model(folder) if linear_scale else None,
        linear_scale=linear_scale,
        calibration=BetaCalibration(**config.get("calibration", {})),
    )
    return LoadedClassifier(
        classifier, list(thresholds), np.array(list(thresholds.values()), np.float32)
    )


def _merge(networks: list[list[Layer]]) -> list[Layer]:
    """One network whose logits are the mean logits of networks with equal inputs."""
    if len(networks) == 1:
        return networks[0]
    depths = [list(layers) for layers in zip(*networks, strict=True)]
    if len(depths) == 1:
        weight, bias = (np.mean(values, axis=0) for values in zip(*depths[0], strict=True))
        return [Layer(weight, bias)]
    biases = [np.concatenate([layer.bias for layer in layers]) for layers in depths[:-1]]
    first = Layer(np.hstack([layer.weight for layer in depths[0]]), biases[0])
    inner = [
        Layer(block_diag(*(layer.weight for layer in layers)).astype(np.float32), bias)
        for layers, bias in zip(depths[1:-1], biases[1:], strict=True)
    ]
    weight = np.vstack([layer.weight for layer in depths[-1]]) / len(networks)
    bias = np.stack([layer.bias for layer in depths[-1]]).mean(axis=0)
    return [first, *inner, Layer(weight.astype(np.float32), bias)]
