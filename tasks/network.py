"""The genre classifier: network, training loop, probabilities, and how it is stored.

A classifier is stored as arguments JSON and a state dict that is read with `weights_only`.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import Tensor, nn

from tasks import store
from tasks.classify import ClassifierConfig
from tasks.contracts import UserError, best_threshold

Array = NDArray[np.float32]


class Examples(NamedTuple):
    """Vectors (n, size) with their labels (n, n_genres), both float32 on one device."""

    vectors: Tensor
    labels: Tensor


class Epoch(NamedTuple):
    """What is logged of one pass."""

    epoch: int
    train_loss: float
    val_loss: float
    val_f1_micro: float


class GenreClassifier(nn.Module):
    """Fully connected network: (batch, n_inputs) vectors -> (batch, n_genres) logits."""

    def __init__(self, n_inputs: int, n_genres: int, hidden: tuple[int, ...], dropout: float):
        super().__init__()
        layers: list[nn.Module] = []
        width = n_inputs
        for units in hidden:
            layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU()]
            layers += [nn.Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_genres))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.layers(vectors)
        return logits


def pick_device(wanted: str) -> torch.device:
    """The device asked for; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UserError: the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there[wanted]:
        raise UserError(f"No {wanted} device here; use --classifier.device auto.")
    return torch.device(wanted)


def batches(n_rows: int, batch_size: int) -> Iterator[Tensor]:
    """Shuffled row numbers in batches; a last batch of one row is left out (batch norm)."""
    for batch in torch.split(torch.randperm(n_rows), batch_size):
        if len(batch) > 1:
            yield batch


def train_epoch(
    network: GenreClassifier, optimizer: torch.optim.Optimizer, train: Examples, batch_size: int
) -> float:
    """One pass of BCE with logits over the train split; the mean loss of its batches."""
    network.train()
    total, steps = torch.zeros((), device=train.vectors.device), 0
    for batch in batches(len(train.vectors), batch_size):
        rows = batch.to(train.vectors.device)
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.binary_cross_entropy_with_logits(
            network(train.vectors[rows]), train.labels[rows]
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, steps = total + loss.detach(), steps + 1
    return total.item() / steps


@torch.no_grad()
def predict_logits(network: GenreClassifier, vectors: Tensor, batch_size: int = 8192) -> Tensor:
    """Logits (n, n_genres) in evaluation mode."""
    network.eval()
    return torch.cat([network(batch) for batch in torch.split(vectors, batch_size)])


def validate(network: GenreClassifier, examples: Examples) -> tuple[float, float]:
    """Loss, and micro F1 at the best threshold, on the validation split."""
    logits = predict_logits(network, examples.vectors)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, examples.labels)
    labels = examples.labels.cpu().numpy().astype(np.uint8)
    probabilities = torch.sigmoid(logits).cpu().numpy()
    predicted = probabilities >= best_threshold(labels, probabilities)
    return loss.item(), float(f1_score(labels, predicted, average="micro"))


def train_classifier(
    train: Examples, validation: Examples, config: ClassifierConfig
) -> tuple[GenreClassifier, list[Epoch]]:
    """Train with Adam; with `patience`, stop early and return the best epoch's weights."""
    sizes = (train.vectors.shape[1], train.labels.shape[1])
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = GenreClassifier(*sizes, config.hidden, config.dropout).to(train.vectors.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        best, history = copy.deepcopy(network.state_dict()), list[Epoch]()
        for epoch in range(1, config.epochs + 1):
            loss = train_epoch(network, optimizer, train, config.batch_size)
            history.append(Epoch(epoch, loss, *validate(network, validation)))
            if config.patience is None:
                continue
            leader = min(history, key=lambda past: past.val_loss).epoch
            if leader == epoch:
                best = copy.deepcopy(network.state_dict())
            if epoch - leader >= config.patience:
                break
    if config.patience is not None:
        network.load_state_dict(best)
    return network, history


def predict_probabilities(network: GenreClassifier, vectors: Array) -> Array:
    """Genre probabilities (n, n_genres) of vectors (n, size)."""
    device = next(network.parameters()).device
    logits = predict_logits(network, torch.tensor(vectors, device=device))
    probabilities: Array = torch.sigmoid(logits).cpu().numpy()
    return probabilities


def save_classifier(
    network: GenreClassifier, classes: list[str], thresholds: list[float], folder: Path
) -> None:
    """Write state dict and the JSON that `load_classifier` needs."""
    linears = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    dropouts = [layer.p for layer in network.layers if isinstance(layer, nn.Dropout)]
    shape = {
        "n_inputs": linears[0].in_features,
        "n_genres": len(classes),
        "hidden": [layer.out_features for layer in linears[:-1]],
        "dropout": dropouts[0] if dropouts else 0.0,
    }
    store.write_json(folder / "config.json", shape)
    store.write_json(folder / "classes.json", classes)
    store.write_json(folder / "thresholds.json", dict(zip(classes, thresholds, strict=True)))
    torch.save(network.cpu().state_dict(), folder / "state.pt")


def load_classifier(folder: Path) -> tuple[GenreClassifier, list[str], Array]:
    """Network on the CPU in evaluation mode, genre names, and a probability threshold each."""
    shape = store.read_json(folder / "config.json")
    network = GenreClassifier(
        shape["n_inputs"], shape["n_genres"], tuple(shape["hidden"]), shape["dropout"]
    )
    network.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    classes = store.read_json(folder / "classes.json")
    thresholds = store.read_json(folder / "thresholds.json")
    network.eval()
    return network, classes, np.array([thresholds[name] for name in classes], np.float32)


def examples_of(
    vectors: Array, labels: NDArray[np.uint8], chosen: NDArray[np.bool_], device: torch.device
) -> Examples:
    """The chosen rows that carry at least one learnt genre, as tensors on the device."""
    rows = chosen & labels.any(axis=1)
    return Examples(
        torch.tensor(vectors[rows], device=device),
        torch.tensor(labels[rows], dtype=torch.float32, device=device),
    )


def require_examples(train: Examples, validation: Examples) -> None:
    """Raises UserError where a split has too few labelled movies to train or to tune on."""
    for name, examples, needed in (("train", train, 2), ("validation", validation, 1)):
        if len(examples.labels) < needed:
            raise UserError(
                f"Only {len(examples.labels)} movies with a learnt genre fall in the {name} split "
                f"({needed} needed): give more movies."
            )
