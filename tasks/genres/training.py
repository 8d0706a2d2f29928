"""Labelled vectors -> a trained genre classifier: epochs, early stopping, ensemble, calibration."""

import copy
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from tasks.core.contracts import UserError
from tasks.core.progress import write_epoch_progress
from tasks.genres.checkpoints import Epoch, TrainingState, restore_checkpoint, save_checkpoint
from tasks.genres.config import ClassifierConfig
from tasks.genres.metrics import find_best_threshold
from tasks.genres.network import GenreClassifier, GenreNetwork
from tasks.genres.validation import choosing_rows, stopping_rows

MIN_STEPS_PER_EPOCH = 16  # a small table gets smaller batches, to reach this number of steps
MIN_BATCH_SIZE = 32
MIN_LABELS_TO_CALIBRATE = 50  # positives and negatives, each
logger = logging.getLogger("prefect.movie_recommender")
Array = NDArray[np.float32]


class Examples(NamedTuple):
    """Vectors (n, size) and labels (n, n_genres), both float32 on the same device."""

    vectors: Tensor
    labels: Tensor


def to_examples(vectors: Array, labels: NDArray[np.uint8], device: torch.device) -> Examples:
    """Vectors and labels as tensors on the device."""
    label_tensor = torch.from_numpy(labels.astype(np.float32))
    return Examples(torch.from_numpy(vectors).to(device), label_tensor.to(device))


def split_validation(validation: Examples, config: ClassifierConfig) -> tuple[Examples, Examples]:
    """Movies to stop on, and movies to calibrate and to tune thresholds on."""
    n_movies = len(validation.labels)
    stopping, choosing = stopping_rows(n_movies, config), choosing_rows(n_movies, config)
    return (
        Examples(validation.vectors[stopping], validation.labels[stopping]),
        Examples(validation.vectors[choosing], validation.labels[choosing]),
    )


def require_examples(train: Examples, validation: Examples) -> None:
    """Check that both splits are large enough to train and tune on.

    Raises:
        UserError: the train split has under 2 movies, or the validation split has none.
    """
    for name, examples, minimum in (("train", train, 2), ("validation", validation, 1)):
        if len(examples.labels) < minimum:
            raise UserError(
                f"The {name} split has {len(examples.labels)} movies with a learned genre "
                f"({minimum} needed): add movies."
            )


def pick_device(name: str) -> torch.device:
    """The torch device `name`; `auto` is the first available of CUDA, Apple's MPS and the CPU.

    Raises:
        UserError: the device is not available.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, usable in available.items() if usable))
    if not available[name]:
        raise UserError(f"Device {name} is not available: use --classifier.device auto.")
    return torch.device(name)


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 matrix products on hardware that supports them: CUDA, and CPUs with AVX512-BF16.

    Other CPUs emulate bfloat16, which is slower than float32.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
    supported = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=supported)


def shuffled_batches(examples: Examples, batch_size: int) -> Iterator[Examples]:
    """All examples in random order, in batches of equal size of at most `batch_size`.

    A small last batch would lower F1: it makes a full step from few examples of batch norm. A
    batch is one gather on the device, with no Python code per example.
    """
    order = torch.randperm(len(examples.vectors)).to(examples.vectors.device)
    batches = torch.tensor_split(order, -(-len(order) // batch_size))
    return (Examples(examples.vectors[rows], examples.labels[rows]) for rows in batches)


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Examples,
    batch_size: int,
    weights: Tensor | None = None,
) -> float:
    """Train one epoch with binary cross-entropy; return the mean loss of its batches.

    `weights` (n_genres,) multiply the loss of the positives of a genre.
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
    """(negatives / positives) ** power per genre, (n_genres,); None for power 0."""
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
    """Loss on the validation split, and micro F1 at the best threshold."""
    logits = predict_logits(network, examples.vectors)
    loss = functional.binary_cross_entropy_with_logits(logits, examples.labels)
    labels = examples.labels.cpu().numpy().astype(np.uint8)
    probabilities = torch.sigmoid(logits).cpu().numpy()
    return loss.item(), find_best_threshold(labels, probabilities).f1


def new_state(train: Examples, config: ClassifierConfig, seed: int) -> TrainingState:
    """An untrained network and its optimiser; equal seeds give equal weights."""
    torch.manual_seed(seed)
    n_inputs, n_genres = train.vectors.shape[1], train.labels.shape[1]
    network = GenreNetwork(n_inputs, n_genres, config.hidden, config.dropout)
    network.to(train.vectors.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    return TrainingState(network, optimizer, copy.deepcopy(network.state_dict()), [])


def start_or_resume(
    train: Examples, config: ClassifierConfig, seed: int, checkpoint: Path | None
) -> TrainingState:
    """The state at `checkpoint`, or a new one; an unreadable checkpoint is deleted."""
    state = new_state(train, config, seed)
    if checkpoint is None or not checkpoint.exists():
        return state
    try:
        restore_checkpoint(checkpoint, state)
    except Exception as error:  # torch raises errors of any type
        logger.warning("Checkpoint %s is discarded, training starts over: %s", checkpoint, error)
        checkpoint.unlink(missing_ok=True)
        return new_state(train, config, seed)
    return state


def run_epoch(
    state: TrainingState,
    member: int,
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
) -> None:
    """Train and validate one epoch, log it, and remember the weights of the best epoch."""
    batch_size = min(
        config.batch_size, max(MIN_BATCH_SIZE, len(train.labels) // MIN_STEPS_PER_EPOCH)
    )
    weights = positive_weights(train.labels, config.positive_weight)
    start = time.perf_counter()
    loss = train_epoch(
        state.network, state.optimizer, train, batch_size=batch_size, weights=weights
    )
    seconds = time.perf_counter() - start
    val_loss, val_f1 = validate(state.network, validation)
    number = len(state.history) + 1
    state.history.append(Epoch(member, number, loss, val_loss, val_f1, seconds))
    if state.history[-1] is best_epoch(state.history):
        state.best_weights = copy.deepcopy(state.network.state_dict())


def train_member(
    member: int,
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
    checkpoint: Path | None = None,
) -> tuple[GenreNetwork, list[Epoch]]:
    """Train one network; with `patience`, stop early and return the best epoch's weights.

    With a `checkpoint` path, the state is written after every epoch and training resumes from it.
    Every epoch has a separate seed, so a resumed training draws the same random numbers.
    """
    seed = config.seed + 1000 * member
    with torch.random.fork_rng():
        state = start_or_resume(train, config, seed, checkpoint)
        while not should_stop(state.history, config):
            torch.manual_seed(seed + len(state.history) + 1)
            run_epoch(state, member=member, train=train, validation=validation, config=config)
            if checkpoint:
                save_checkpoint(checkpoint, state)
                epochs = member * config.epochs + len(state.history)
                write_epoch_progress(checkpoint.parent, epochs, config.members * config.epochs)
    if config.patience is not None:
        state.network.load_state_dict(state.best_weights)
    return state.network, state.history


def best_epoch(history: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss; of equal ones the first."""
    return min(history, key=lambda epoch: epoch.val_loss)


def should_stop(history: list[Epoch], config: ClassifierConfig) -> bool:
    """Whether all epochs are done, or the last `patience` epochs brought no improvement."""
    if len(history) >= config.epochs:
        return True
    if config.patience is None or not history:
        return False
    return len(history) - best_epoch(history).epoch >= config.patience


def train_classifier(
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
    checkpoint_dir: Path | None = None,
) -> tuple[GenreClassifier, list[Epoch]]:
    """Train the members in turn; with a `checkpoint_dir`, resume from the checkpoints in it."""
    stopping, choosing = split_validation(validation, config)
    classifier = GenreClassifier([], train.vectors.shape[1]).to(train.vectors.device)
    if config.standardise:
        classifier.input_mean = train.vectors.mean(dim=0)
        classifier.input_std = train.vectors.std(dim=0, correction=0).clamp(min=1e-6)
    train_inputs = train._replace(vectors=classifier.standardise(train.vectors))
    stopping_inputs = stopping._replace(vectors=classifier.standardise(stopping.vectors))
    history = list[Epoch]()
    for member in range(config.members):
        checkpoint = checkpoint_dir / f"member-{member}.pt" if checkpoint_dir else None
        network, epochs = train_member(
            member, train_inputs, stopping_inputs, config=config, checkpoint=checkpoint
        )
        classifier.members.append(network)
        history += epochs
    if config.calibrate:
        calibrate(classifier, choosing)
    return classifier, history


def calibrate(classifier: GenreClassifier, validation: Examples) -> None:
    """Fit scale and shift of the logits on validation movies (Platt, 1999), for all genres.

    The logits stay as they are if there are too few labels, or if labels and logits are negatively
    correlated.
    """
    labels = validation.labels.cpu().numpy().ravel()
    if min(labels.sum(), (1 - labels).sum()) < MIN_LABELS_TO_CALIBRATE:
        return
    logits = predict_logits(classifier, validation.vectors).cpu().numpy().reshape(-1, 1)
    platt = LogisticRegression().fit(logits, labels)
    if platt.coef_[0, 0] > 0:
        classifier.scale.fill_(float(platt.coef_[0, 0]))
        classifier.shift.fill_(float(platt.intercept_[0]))


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory in MiB so far: of the GPU if it is the device, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS reports bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
