"""The genre classifier as torch modules, and what of it answers without torch (`forward`)."""

from itertools import zip_longest
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.genres.inference import Classifier, Layer


class Dropout(nn.Module):
    """Dropout whose mask is made of random bytes, so that the share dropped is in 256ths.

    On a CPU torch's own draws a number for every unit, one after the other on one core, which
    takes longer than all the rest of a small network; eight bytes a draw take a twentieth.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        # Of 256, but for what is dropped not at all: some of it, and never everything.
        self.dropped = min(255, max(1, round(share * 256))) if share else 0

    def forward(self, units: Tensor) -> Tensor:
        """In training: units with some at zero and the others scaled up."""
        if not self.training or not self.dropped:
            return units
        if units.device.type != "cpu":
            return functional.dropout(units, self.share)
        words = torch.empty(-(-units.numel() // 8), dtype=torch.int64, device=units.device)
        bytes_drawn = words.random_(-(2**63), None).view(torch.uint8)[: units.numel()]
        kept = bytes_drawn.view(units.shape) >= self.dropped
        return units * (kept * units.new_tensor(256 / (256 - self.dropped)))


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
        """Logits of a batch."""
        logits: Tensor = self.layers(vectors)
        return logits


class GenreClassifier(nn.Module):
    """Members' mean logits of standardised vectors, scaled and shifted to calibrated ones."""

    def __init__(self, members: list[GenreNetwork], n_inputs: int) -> None:
        super().__init__()
        self.centre: Tensor
        self.spread: Tensor
        self.scale: Tensor
        self.shift: Tensor
        self.members = nn.ModuleList(members)
        for name, value in (
            ("centre", torch.zeros(n_inputs)),
            ("spread", torch.ones(n_inputs)),
            ("scale", torch.ones(())),
            ("shift", torch.zeros(())),
        ):
            self.register_buffer(name, value)

    def standardised(self, vectors: Tensor) -> Tensor:
        """Vectors as the members expect them."""
        return (vectors - self.centre).div_(self.spread)

    def forward(self, vectors: Tensor) -> Tensor:
        """Calibrated logits of a batch."""
        inputs = self.standardised(vectors)
        logits = torch.stack([member(inputs) for member in self.members]).mean(dim=0)
        calibrated: Tensor = self.scale * logits + self.shift
        return calibrated


def fold_batch_norm(classifier: GenreClassifier) -> Classifier:
    """What answers without torch: batch norm and standardisation are part of the linear layers."""
    centre, spread = classifier.centre.cpu().numpy(), classifier.spread.cpu().numpy()
    members = []
    for member in classifier.members:
        layers = _folded_layers(cast(GenreNetwork, member))
        first = layers[0].weight / spread[:, None]
        layers[0] = Layer(first, layers[0].bias - centre @ first)
        members.append(layers)
    return Classifier(members, classifier.scale.item(), classifier.shift.item())


def _folded_layers(network: GenreNetwork) -> list[Layer]:
    modules, layers = list(network.layers), list[Layer]()
    for linear, norm in zip_longest(
        (module for module in modules if isinstance(module, nn.Linear)),
        (module for module in modules if isinstance(module, nn.BatchNorm1d)),
    ):
        weight, bias = (value.detach().cpu().numpy() for value in (linear.weight.T, linear.bias))
        if norm is not None:
            state = {name: value.cpu().numpy() for name, value in norm.state_dict().items()}
            rate = state["weight"] / np.sqrt(state["running_var"] + norm.eps)
            weight, bias = weight * rate, (bias - state["running_mean"]) * rate + state["bias"]
        layers.append(Layer(np.ascontiguousarray(weight), bias))
    return layers
