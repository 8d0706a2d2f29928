"""Examples -> a trained genre classifier: training loop, early stopping, checkpoints, calibration.

A checkpoint is a state dict that is read with `weights_only`.
"""

import copy
import hashlib
import io
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from tasks.core.contracts import UserError
from tasks.core.files import atomic_write
from tasks.core.progress import write_epoch_progress
from tasks.genres.config import ClassifierConfig
from tasks.genres.metrics import find_best_threshold
from tasks.genres.network import GenreClassifier, GenreNetwork

STEPS, SMALLEST_BATCH = 16, 32  # a small table still gets so many steps an epoch
LABELS_TO_CALIBRATE = 50  # positive and negative ones, each
DIGEST_BYTES = hashlib.sha256().digest_size
logger = logging.getLogger("prefect.movie_recommender")
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


def shuffled_batches(examples: Examples, batch_size: int) -> Iterator[Examples]:
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
    for batch in shuffled_batches(train, batch_size):
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
    return loss.item(), find_best_threshold(labels, probabilities).f1


def save_checkpoint(
    path: Path, state: dict[str, Any], best: dict[str, Any], history: list[Epoch]
) -> None:
    """Write whole or not at all what `load_checkpoint` reads, after the SHA-256 of it.

    torch checks nothing of what it reads, and would go on from weights that a disk has changed.
    """
    content = io.BytesIO()
    torch.save(state | {"best": best, "history": [tuple(epoch) for epoch in history]}, content)
    with atomic_write(path) as new:
        new.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], list[Epoch]]:
    """Put network and optimiser where they were; the best weights and the passes so far.

    Raises:
        ValueError: the file is not as it was written.
    """
    content = path.read_bytes()
    digest, saved = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(saved).digest() != digest:
        raise ValueError("it is not as it was written")
    device = next(network.parameters()).device
    state = torch.load(io.BytesIO(saved), weights_only=True, map_location=device)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return state["best"], [Epoch(*epoch) for epoch in state["history"]]


def start_member(
    train: Examples, config: ClassifierConfig, seed: int
) -> tuple[GenreNetwork, torch.optim.Optimizer]:
    """An untrained network and its optimiser, equal for equal seeds."""
    torch.manual_seed(seed)
    sizes = train.vectors.shape[1], train.labels.shape[1]
    network = GenreNetwork(*sizes, config.hidden, config.dropout).to(train.vectors.device)
    return network, torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)


def is_usable_checkpoint(checkpoint: Path, train: Examples, config: ClassifierConfig) -> bool:
    """Whether there is a checkpoint to go on from; one that cannot be loaded is deleted."""
    if not checkpoint.exists():
        return False
    try:
        load_checkpoint(checkpoint, *start_member(train, config, config.seed))
    except Exception as error:  # torch raises errors of any kind for what it cannot read
        logger.warning("%s is discarded, training starts over: %s", checkpoint, error)
        checkpoint.unlink(missing_ok=True)
        return False
    return True


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
    seed = config.seed + 1000 * member
    with torch.random.fork_rng():
        network, optimizer = start_member(train, config, seed)
        weights = positive_weights(train.labels, config.positive_weight)
        batch_size = min(config.batch_size, max(SMALLEST_BATCH, len(train.labels) // STEPS))
        best, history = copy.deepcopy(network.state_dict()), list[Epoch]()
        if checkpoint and is_usable_checkpoint(checkpoint, train, config):
            best, history = load_checkpoint(checkpoint, network, optimizer)
        while not should_stop(history, config):
            torch.manual_seed(seed + len(history) + 1)
            start = time.perf_counter()
            loss = train_epoch(network, optimizer, train, batch_size, weights)
            seconds = time.perf_counter() - start
            found = validate(network, validation)
            history.append(Epoch(member, len(history) + 1, loss, *found, seconds))
            if history[-1] is best_epoch(history):
                best = copy.deepcopy(network.state_dict())
            if checkpoint:
                state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
                save_checkpoint(checkpoint, state, best, history)
                passes = member * config.epochs + len(history), config.members * config.epochs
                write_epoch_progress(checkpoint.parent, *passes)
    if config.patience is not None:
        network.load_state_dict(best)
    return network, history


def best_epoch(history: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss, the first of several."""
    return min(history, key=lambda epoch: epoch.val_loss)


def should_stop(history: list[Epoch], config: ClassifierConfig) -> bool:
    """Whether all epochs are done, or `patience` epochs have brought nothing better."""
    if len(history) >= config.epochs:
        return True
    if config.patience is None or not history:
        return False
    return len(history) - best_epoch(history).epoch >= config.patience


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


def peak_memory_mb(device: torch.device) -> float:
    """The most memory taken so far: of the GPU where it trains on one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


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
