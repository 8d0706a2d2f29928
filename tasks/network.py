"""The genre classifier: network, training loop, checkpoints. What it answers with is in `forward`.

A checkpoint is a state dict that is read with `weights_only`.
"""

import copy
import resource
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from tasks.classify import ClassifierConfig
from tasks.contracts import UserError
from tasks.forward import Classifier, Layer
from tasks.metrics import best_cut

STEPS, SMALLEST_BATCH = 16, 32  # a small table still gets so many steps an epoch
LABELS_TO_CALIBRATE = 50  # positive and negative ones, each
Array = NDArray[np.float32]


class Examples(NamedTuple):
    """Vectors (n, size) with their labels (n, n_genres), both float32 on one device."""

    vectors: Tensor
    labels: Tensor


class Epoch(NamedTuple):
    """What is logged of one pass of one member; `seconds` are of the training steps alone."""

    member: int
    epoch: int
    train_loss: float
    val_loss: float
    val_f1_micro: float
    seconds: float


class Dropout(nn.Module):
    """Dropout whose mask is made of random bytes, so that the share dropped is in 256ths.

    On a CPU torch's own draws a number for every unit, one after the other on one core, which
    takes longer than all the rest of a small network; eight bytes a draw take a twentieth.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.dropped = round(share * 256)

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


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 for the matrix products where the hardware has it: CUDA, and CPUs with AVX512-BF16.

    Elsewhere it would be emulated, and slower.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
    there = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=there)


def batches(examples: Examples, batch_size: int) -> Iterator[Examples]:
    """The examples once, shuffled, in batches of equal size: a small last one, with a full step
    and few examples for batch norm, costs F1.

    The whole table lies on its device, and a batch is one gather: nothing is done a sample in
    Python.
    """
    order = torch.randperm(len(examples.vectors)).to(examples.vectors.device)
    parts = torch.tensor_split(order, -(-len(order) // batch_size))
    return (Examples(examples.vectors[rows], examples.labels[rows]) for rows in parts)


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Examples,
    batch_size: int,
    weights: Tensor | None = None,
) -> float:
    """One pass of BCE with logits over the train split; the mean loss of its batches.

    `weights` (n_genres,) multiply the loss of the documents that carry a genre.
    """
    network.train()
    total, steps = torch.zeros((), device=train.vectors.device), 0
    for batch in batches(train, batch_size):
        optimizer.zero_grad(set_to_none=True)
        with mixed_precision(batch.vectors.device):
            logits = network(batch.vectors)
        loss = functional.binary_cross_entropy_with_logits(
            logits.float(), batch.labels, pos_weight=weights
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, steps = total + loss.detach(), steps + 1
    return total.item() / steps


def positive_weights(labels: Tensor, power: float) -> Tensor | None:
    """(negatives / positives) ** power of each genre; None where it would be 1 for all."""
    if not power:
        return None
    positives = labels.sum(dim=0).clamp(min=1)
    return ((len(labels) - positives).clamp(min=1) / positives) ** power


@torch.no_grad()
def predict_logits(network: nn.Module, vectors: Tensor, batch_size: int = 8192) -> Tensor:
    """Logits (n, n_genres) in evaluation mode."""
    network.eval()
    return torch.cat([network(batch) for batch in torch.split(vectors, batch_size)])


def validate(network: nn.Module, examples: Examples) -> tuple[float, float]:
    """Loss, and micro F1 at the best threshold, on the validation split."""
    logits = predict_logits(network, examples.vectors)
    loss = functional.binary_cross_entropy_with_logits(logits, examples.labels)
    labels = examples.labels.cpu().numpy().astype(np.uint8)
    probabilities = torch.sigmoid(logits).cpu().numpy()
    return loss.item(), best_cut(labels, probabilities).f1


def save_checkpoint(
    path: Path, state: dict[str, Any], best: dict[str, Any], history: list[Epoch]
) -> None:
    """Write whole or not at all what `load_checkpoint` reads.

    Another run of the same training may write here too, or be done and have deleted the folder.
    """
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f"{path.name}.{uuid4().hex}")
    torch.save(state | {"best": best, "history": [tuple(epoch) for epoch in history]}, new)
    new.replace(path)


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], list[Epoch]]:
    """Put network and optimiser where they were; the best weights and the passes so far."""
    state = torch.load(path, weights_only=True, map_location=next(network.parameters()).device)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return state["best"], [Epoch(*epoch) for epoch in state["history"]]


def train_member(
    member: int,
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
    checkpoint: Path | None = None,
) -> tuple[GenreNetwork, list[Epoch]]:
    """Train one network; with `patience`, stop early and return the best epoch's weights.

    With a `checkpoint` path the state is written there after every epoch, and training goes on
    from what lies there. Each epoch draws from its own seed, so that one which was interrupted
    draws again what it drew before.
    """
    device, sizes = train.vectors.device, (train.vectors.shape[1], train.labels.shape[1])
    seed = config.seed + 1000 * member
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = GenreNetwork(*sizes, config.hidden, config.dropout).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        weights = positive_weights(train.labels, config.positive_weight)
        batch_size = min(config.batch_size, max(SMALLEST_BATCH, len(train.labels) // STEPS))
        best, history = copy.deepcopy(network.state_dict()), list[Epoch]()
        if checkpoint and checkpoint.exists():
            best, history = load_checkpoint(checkpoint, network, optimizer)
        while not finished(history, config):
            torch.manual_seed(seed + len(history) + 1)
            start = time.perf_counter()
            loss = train_epoch(network, optimizer, train, batch_size, weights)
            seconds = time.perf_counter() - start
            found = validate(network, validation)
            history.append(Epoch(member, len(history) + 1, loss, *found, seconds))
            if history[-1] is leader(history):
                best = copy.deepcopy(network.state_dict())
            if checkpoint:
                state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
                save_checkpoint(checkpoint, state, best, history)
    if config.patience is not None:
        network.load_state_dict(best)
    return network, history


def leader(history: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss, the first of several."""
    return min(history, key=lambda epoch: epoch.val_loss)


def finished(history: list[Epoch], config: ClassifierConfig) -> bool:
    """Whether all epochs are done, or `patience` epochs have brought nothing better."""
    if len(history) >= config.epochs:
        return True
    if config.patience is None or not history:
        return False
    return len(history) - leader(history).epoch >= config.patience


def train_classifier(
    train: Examples, validation: Examples, config: ClassifierConfig, work: Path | None = None
) -> tuple[GenreClassifier, list[Epoch]]:
    """Train the members one after the other; with a folder `work`, resume what lies in it."""
    classifier = GenreClassifier([], train.vectors.shape[1]).to(train.vectors.device)
    if config.standardise:
        classifier.centre = train.vectors.mean(dim=0)
        classifier.spread = train.vectors.std(dim=0, correction=0).clamp(min=1e-6)
    inputs = train._replace(vectors=classifier.standardised(train.vectors))
    held_out = validation._replace(vectors=classifier.standardised(validation.vectors))
    history = list[Epoch]()
    for member in range(config.members):
        checkpoint = work / f"member-{member}.pt" if work else None
        network, epochs = train_member(member, inputs, held_out, config, checkpoint)
        classifier.members.append(network)
        history += epochs
    if config.calibrate:
        calibrate(classifier, validation)
    return classifier, history


def calibrate(classifier: GenreClassifier, validation: Examples) -> None:
    """Fit scale and shift of the logits on the validation split (Platt, 1999; all genres as one).

    Left as it is where validation holds too few labels, or where they run against the logits.
    """
    labels = validation.labels.cpu().numpy().ravel()
    if min(labels.sum(), (1 - labels).sum()) < LABELS_TO_CALIBRATE:
        return
    logits = predict_logits(classifier, validation.vectors).cpu().numpy().reshape(-1, 1)
    platt = LogisticRegression().fit(logits, labels)
    if platt.coef_[0, 0] > 0:
        classifier.scale.fill_(float(platt.coef_[0, 0]))
        classifier.shift.fill_(float(platt.intercept_[0]))


def folded(classifier: GenreClassifier) -> Classifier:
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


def peak_memory_mb(device: torch.device) -> float:
    """The most memory taken so far: of the GPU where it trains on one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def examples_of(vectors: Array, labels: NDArray[np.uint8], device: torch.device) -> Examples:
    """Vectors and labels as tensors on the device."""
    as_floats = torch.from_numpy(labels.astype(np.float32))
    return Examples(torch.from_numpy(vectors).to(device), as_floats.to(device))


def require_examples(train: Examples, validation: Examples) -> None:
    """Raises UserError where a split has too few labelled movies to train or to tune on."""
    for name, examples, needed in (("train", train, 2), ("validation", validation, 1)):
        if len(examples.labels) < needed:
            raise UserError(
                f"Only {len(examples.labels)} movies with a learnt genre fall in the {name} split "
                f"({needed} needed): give more movies."
            )
