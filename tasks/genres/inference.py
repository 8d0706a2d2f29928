"""A stored classifier's weights -> genre probabilities, with NumPy alone.

Inference needs a few matrix products. torch, which trained the weights, takes seconds to load.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from tasks.core.storage import store

Array = NDArray[np.float32]


class Layer(NamedTuple):
    """A linear layer with batch norm folded in: `weight` (n_inputs, n_outputs), `bias`."""

    weight: Array
    bias: Array


class Classifier(NamedTuple):
    """An ensemble: the mean logit of the members, times `scale` plus `shift`, is calibrated."""

    members: list[list[Layer]]
    scale: float
    shift: float


class LoadedClassifier(NamedTuple):
    """A classifier, the names of its genres and their probability thresholds (n_genres,)."""

    classifier: Classifier
    classes: list[str]
    thresholds: Array


def genre_probabilities(classifier: Classifier, vectors: Array) -> Array:
    """Genre probabilities (n, n_genres) of document vectors (n, size)."""
    logits = np.mean([_logits(layers, vectors) for layers in classifier.members], axis=0)
    probabilities: Array = expit(classifier.scale * logits + classifier.shift).astype(np.float32)
    return probabilities


def hidden_units(classifier: Classifier, vectors: Array) -> Array:
    """Last hidden layers (n, n_members * n_units) of all members for document vectors (n, size)."""
    return np.hstack([_hidden(layers, vectors) for layers in classifier.members])


def _hidden(layers: list[Layer], units: Array) -> Array:
    for layer in layers[:-1]:
        units = np.maximum(units @ layer.weight + layer.bias, 0)
    return units


def _logits(layers: list[Layer], vectors: Array) -> Array:
    logits: Array = _hidden(layers, vectors) @ layers[-1].weight + layers[-1].bias
    return logits


def save_classifier(classifier: Classifier, thresholds: dict[str, float], folder: Path) -> None:
    """Write arrays and JSON, no pickle; `thresholds` by genre, in the order of the outputs."""
    arrays = {
        f"{member}/{depth}/{name}": value
        for member, layers in enumerate(classifier.members)
        for depth, layer in enumerate(layers)
        for name, value in layer._asdict().items()
    }
    np.savez(folder / "weights.npz", allow_pickle=False, **arrays)
    shape = {"members": len(classifier.members), "layers": len(classifier.members[0])}
    calibration = {"scale": classifier.scale, "shift": classifier.shift}
    store.write_json(folder / "config.json", shape | calibration)
    store.write_json(folder / "thresholds.json", thresholds)


def load_classifier(folder: Path) -> LoadedClassifier:
    """The classifier that `save_classifier` wrote to `folder`."""
    config = store.read_json(folder / "config.json")
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        members = [
            [
                Layer(arrays[f"{member}/{depth}/weight"], arrays[f"{member}/{depth}/bias"])
                for depth in range(config["layers"])
            ]
            for member in range(config["members"])
        ]
    thresholds = store.read_json(folder / "thresholds.json")
    return LoadedClassifier(
        Classifier(members, config["scale"], config["shift"]),
        list(thresholds),
        np.array(list(thresholds.values()), np.float32),
    )
