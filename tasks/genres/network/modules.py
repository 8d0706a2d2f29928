"""The genre network as torch modules, and its conversion to NumPy layers for inference."""

from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tasks.genres.inference import Layer

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


class Standardiser(nn.Module):
    """Vectors (batch, size) -> vectors of mean 0 and variance 1 over the training movies."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardised vectors (batch, size)."""
        return (vectors - self.mean) / self.std


class WordEncoder(nn.Module):
    """Word numbers (batch, most_words), 0 for none -> vectors (batch, size), by word vectors.

    The vectors of a document's words are summed, divided by the root of their number, and
    normalised over the batch. In training a random share of the words is left out, which reduces
    overfitting to single words. With `sparse` gradients, a step updates only the vectors of the
    words in its batch.
    """

    def __init__(self, word_vectors: Array, dropout: float, sparse: bool) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag.from_pretrained(
            torch.from_numpy(word_vectors.copy()), freeze=False, mode="sum", sparse=sparse
        )
        self.norm = nn.BatchNorm1d(word_vectors.shape[1], affine=False)
        self.dropout = dropout

    @property
    def mean(self) -> Tensor:
        """Running mean (size,) of the vectors."""
        mean: Tensor = self.norm.state_dict()["running_mean"]
        return mean

    @property
    def std(self) -> Tensor:
        """Running standard deviation (size,) of the vectors."""
        variance: Tensor = self.norm.state_dict()["running_var"]
        return (variance + self.norm.eps).sqrt()

    def forward(self, numbers: Tensor) -> Tensor:
        """Normalised vectors (batch, size)."""
        vectors: Tensor = self.norm(self.sums(numbers))
        return vectors

    @torch.no_grad()
    def set_statistics(self, numbers: Tensor, batch_size: int = 8192) -> None:
        """Set mean and deviation to those of the vectors of these movies, with all their words.

        Those of batches in training are of other vectors: words are left out.
        """
        self.eval()
        vectors = torch.cat([self.sums(batch) for batch in torch.split(numbers, batch_size)])
        statistics = {"running_mean": vectors.mean(dim=0)}
        statistics["running_var"] = vectors.var(dim=0, correction=0)
        self.norm.load_state_dict(self.norm.state_dict() | statistics)

    def sums(self, numbers: Tensor) -> Tensor:
        """Sums (batch, size) of word vectors over the root of the number of words."""
        kept = numbers > 0
        if self.training and self.dropout:
            kept &= torch.rand(numbers.shape, device=numbers.device) >= self.dropout
        counts = kept.sum(dim=1)
        sums: Tensor = self.words(numbers[kept].long() - 1, counts.cumsum(dim=0) - counts)
        return sums / counts.clamp(min=1).sqrt()[:, None]


Encoder = Standardiser | WordEncoder


class GenreNetwork(nn.Module):
    """Encoder and fully connected network: inputs of the encoder -> (batch, n_genres) logits."""

    def __init__(
        self, encoder: Encoder, n_genres: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        layers: list[nn.Module] = []
        width = len(encoder.mean)
        for units in hidden:
            layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU()]
            layers += [Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_genres))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (batch, n_genres)."""
        logits: Tensor = self.layers(self.encoder(inputs))
        return logits


def fold_layers(network: GenreNetwork) -> list[Layer]:
    """The fully connected layers, with batch norm and the encoder's normalisation folded in."""
    modules = list(network.layers)
    linear_modules = (module for module in modules if isinstance(module, nn.Linear))
    norm_modules = (module for module in modules if isinstance(module, nn.BatchNorm1d))
    # the output layer has no batch norm
    layers = [_folded(linear, norm) for linear, norm in zip_longest(linear_modules, norm_modules)]
    mean, std = network.encoder.mean.cpu().numpy(), network.encoder.std.cpu().numpy()
    weight = layers[0].weight / std[:, None]
    layers[0] = Layer(weight, layers[0].bias - mean @ weight)
    return layers


def trained_word_vectors(network: GenreNetwork) -> Array:
    """Word vectors (n_words, size) of a network whose encoder is a `WordEncoder`."""
    vectors: Array = network.encoder.state_dict()["words.weight"].cpu().numpy()
    return vectors


def _folded(linear: nn.Linear, norm: nn.BatchNorm1d | None) -> Layer:
    weight: Array = linear.weight.T.detach().cpu().numpy()
    bias: Array = linear.bias.detach().cpu().numpy()
    if norm is not None:
        state = {name: value.cpu().numpy() for name, value in norm.state_dict().items()}
        rate = state["weight"] / np.sqrt(state["running_var"] + norm.eps)
        weight, bias = weight * rate, (bias - state["running_mean"]) * rate + state["bias"]
    return Layer(np.ascontiguousarray(weight), bias)
