"""A stored classifier's weights -> genre probabilities, without torch.

Inference needs a few matrix products. torch, which trained the weights, takes seconds to load.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from tasks.core.storage import store
from tasks.genres.linear import LinearModel, load_linear_model, save_linear_model

Array = NDArray[np.float32]


class Layer(NamedTuple):
    """A linear layer with batch norm folded in: `weight` (n_inputs, n_outputs), `bias`."""

    weight: Array
    bias: Array


class Classifier(NamedTuple):
    """The mean logit of the networks (`members`), times `scale` plus `shift`, is calibrated.

    With a linear model, its logit times `linear_scale` is added.
    """

    members: list[list[Layer]]
    scale: float
    shift: float
    linear: LinearModel | None = None
    linear_scale: float = 0.0


class LoadedClassifier(NamedTuple):
    """A classifier, the names of its genres and their probability thresholds (n_genres,)."""

    classifier: Classifier
    classes: list[str]
    thresholds: Array


def genre_probabilities(
    classifier: Classifier, vectors: Array, documents: Sequence[str] | None = None
) -> Array:
    """Genre probabilities (n, n_genres) of document vectors (n, size).

    `documents` (n tokenised texts) are those of the vectors; a linear model needs them.
    """
    logits = classifier.scale * network_logits(classifier, vectors) + classifier.shift
    if classifier.linear:
        if documents is None:
            raise ValueError("the linear model of this classifier needs the documents")
        logits += classifier.linear_scale * classifier.linear.logits(documents)
    probabilities: Array = expit(logits).astype(np.float32)
    return probabilities


def network_logits(classifier: Classifier, vectors: Array) -> Array:
    """Mean logits (n, n_genres) of the networks, not calibrated."""
    logits: Array = np.mean([_logits(layers, vectors) for layers in classifier.members], axis=0)
    return logits


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
    if classifier.linear:
        calibration["linear_scale"] = classifier.linear_scale
        save_linear_model(classifier.linear, folder)
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
    linear_scale = config.get("linear_scale", 0.0)  # a network alone has none
    linear = load_linear_model(folder) if linear_scale else None
    return LoadedClassifier(
        Classifier(members, config["scale"], config["shift"], linear, linear_scale),
        list(thresholds),
        np.array(list(thresholds.values()), np.float32),
    )
