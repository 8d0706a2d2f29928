"""The genre classifier as torch modules, and its conversion to NumPy layers for inference."""

from itertools import zip_longest
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tasks.genres.inference import Classifier, Layer

Array = NDArray[np.float32]


class Dropout(nn.Module):
    """Dropout with a mask of random bytes; the share is rounded to 1/256.

    On a CPU torch's dropout draws one number per unit on a single core, which takes longer than
    the rest of a small network. Drawing eight bytes at a time takes a twentieth of that.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        # A share above 0 drops at least 1 and at most 255 of 256 units.
        self.dropped = min(255, max(1, round(share * 256))) if share else 0

    def forward(self, units: Tensor) -> Tensor:
        """In training: some units are 0, the others are scaled up. Otherwise: unchanged."""
        if not self.training or not self.dropped:
            return units
        if units.device.type != "cpu":
            return functional.dropout(units, self.share)
        words = torch.empty(-(-units.numel() // 8), dtype=torch.int64, device=units.device)
        random_bytes = words.random_(-(2**63), None).view(torch.uint8)[: units.numel()]
        mask = random_bytes.view(units.shape) >= self.dropped
        return units * (mask * units.new_tensor(256 / (256 - self.dropped)))


class GenreNetwork(nn.Module):
    """Fully connected network: (batch, n_inputs) vectors -> (batch, n_genres) logits."""

    def __init__(self, n_inputs: int, n_genres: int, hidden: tuple[int, ...], dropout: float):
        super().__init__()
        layers: list[nn.Module] = []
        width = n_inputs
        for units in hidden:
            layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU()]
            layers += [Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_genres))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits (batch, n_genres)."""
        logits: Tensor = self.layers(vectors)
        return logits


class GenreClassifier(nn.Module):
    """An ensemble of networks with input standardisation and calibration of the mean logits."""

    def __init__(self, members: list[GenreNetwork], n_inputs: int) -> None:
        super().__init__()
        self.input_mean: Tensor
        self.input_std: Tensor
        self.scale: Tensor
        self.shift: Tensor
        self.members = nn.ModuleList(members)
        self.register_buffer("input_mean", torch.zeros(n_inputs))
        self.register_buffer("input_std", torch.ones(n_inputs))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))

    def standardise(self, vectors: Tensor) -> Tensor:
        """Vectors (n, n_inputs) scaled to the mean and variance that the members expect."""
        return (vectors - self.input_mean).div_(self.input_std)

    def forward(self, vectors: Tensor) -> Tensor:
        """Calibrated logits (batch, n_genres)."""
        inputs = self.standardise(vectors)
        logits = torch.stack([member(inputs) for member in self.members]).mean(dim=0)
        calibrated: Tensor = self.scale * logits + self.shift
        return calibrated


def fold_batch_norm(classifier: GenreClassifier) -> Classifier:
    """The classifier as NumPy layers, with batch norm and standardisation folded into them."""
    mean, std = classifier.input_mean.cpu().numpy(), classifier.input_std.cpu().numpy()
    members = []
    for member in classifier.members:
        layers = _folded_layers(cast(GenreNetwork, member))
        weight = layers[0].weight / std[:, None]
        layers[0] = Layer(weight, layers[0].bias - mean @ weight)
        members.append(layers)
    return Classifier(members, classifier.scale.item(), classifier.shift.item())


def _folded_layers(network: GenreNetwork) -> list[Layer]:
    modules = list(network.layers)
    linear_modules = (module for module in modules if isinstance(module, nn.Linear))
    norm_modules = (module for module in modules if isinstance(module, nn.BatchNorm1d))
    # the output layer has no batch norm
    return [_folded(linear, norm) for linear, norm in zip_longest(linear_modules, norm_modules)]


def _folded(linear: nn.Linear, norm: nn.BatchNorm1d | None) -> Layer:
    weight: Array = linear.weight.T.detach().cpu().numpy()
    bias: Array = linear.bias.detach().cpu().numpy()
    if norm is not None:
        state = {name: value.cpu().numpy() for name, value in norm.state_dict().items()}
        rate = state["weight"] / np.sqrt(state["running_var"] + norm.eps)
        weight, bias = weight * rate, (bias - state["running_mean"]) * rate + state["bias"]
    return Layer(np.ascontiguousarray(weight), bias)
