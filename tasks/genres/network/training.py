"""Labelled documents -> a trained genre network: epochs, early stopping, checkpoints."""

import copy
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from joblib import cpu_count
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tasks.core.contracts import UserError
from tasks.core.logs import logger
from tasks.core.orchestration.progress import write_epoch_progress
from tasks.genres.config import ClassifierConfig
from tasks.genres.metrics import find_best_threshold
from tasks.genres.network.checkpoints import (
    Epoch,
    TrainingState,
    restore_checkpoint,
    save_checkpoint,
)
from tasks.genres.network.modules import GenreNetwork, Standardiser, WordEncoder

MIN_STEPS_PER_EPOCH = 32  # a small table gets smaller batches, to reach this number of steps
MIN_BATCH_SIZE = 16
PRODUCTS_PER_THREAD = 2**28  # multiplications of a forward pass
MOST_THREADS_OF_SMALL = 4  # which take 0.6 times as long as one, measured on 16 cores
#: Checkpoints of a fine-tuned network are as large as its word vectors, four times.
SECONDS_BETWEEN_CHECKPOINTS = 10
Array = NDArray[np.float32]


class Examples(NamedTuple):
    """Inputs and labels (n, n_genres) of n movies, on the same device; the labels are float32.

    The inputs are document vectors (n, size), or word numbers (n, most_words) with 0 for none.
    """

    inputs: Tensor
    labels: Tensor

    def take(self, rows: Tensor | NDArray[np.int64]) -> "Examples":
        """The examples of these rows."""
        return Examples(self.inputs[rows], self.labels[rows])


def to_examples(
    inputs: NDArray[np.generic], labels: NDArray[np.uint8], device: torch.device
) -> Examples:
    """Inputs and labels as tensors on the device."""
    label_tensor = torch.from_numpy(labels.astype(np.float32))
    return Examples(torch.from_numpy(inputs).to(device), label_tensor.to(device))


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
    order = torch.randperm(len(examples.labels)).to(examples.labels.device)
    return map(examples.take, torch.tensor_split(order, -(-len(order) // batch_size)))


def train_epoch(
    network: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    train: Examples,
    batch_size: int,
    weights: Tensor | None = None,
    focal_gamma: float = 0.0,
) -> float:
    """Train one epoch; return the mean cross-entropy of its batches.

    `weights` (n_genres,) multiply that of the positives of a genre. What is minimised is the focal
    loss: the cross-entropy of each label times its focal weight.
    """
    network.train()
    total, steps = torch.zeros((), device=train.labels.device), 0
    for batch in shuffled_batches(train, batch_size):
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with mixed_precision(batch.labels.device):
            logits = network(batch.inputs)
        losses = functional.binary_cross_entropy_with_logits(
            logits.float(), batch.labels, pos_weight=weights, reduction="none"
        )
        focal = losses * focal_weights(logits.float(), batch.labels, focal_gamma)
        focal.mean().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        total, steps = total + losses.detach().mean(), steps + 1
    return total.item() / steps


def focal_weights(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """(1 - probability of the label) ** gamma, (n, n_genres), of Lin et al. (2017)."""
    errors = (labels - logits.sigmoid()).abs()
    return errors.clamp(min=1e-6) ** gamma  # the derivative of a power below 1 is infinite at 0


def positive_weights(labels: Tensor, power: float) -> Tensor | None:
    """(negatives / positives) ** power per genre, (n_genres,); None for power 0."""
    if not power:
        return None
    positives = labels.sum(dim=0).clamp(min=1)
    return ((len(labels) - positives).clamp(min=1) / positives) ** power


@torch.no_grad()
def predict_logits(network: nn.Module, inputs: Tensor, batch_size: int = 8192) -> Tensor:
    """Logits (n, n_genres) in evaluation mode."""
    network.eval()
    return torch.cat([network(batch) for batch in torch.split(inputs, batch_size)])


def validate(network: nn.Module, examples: Examples) -> tuple[float, float]:
    """Loss on the validation split, and micro F1 at the best threshold."""
    logits = predict_logits(network, examples.inputs)
    loss = functional.binary_cross_entropy_with_logits(logits, examples.labels)
    labels = examples.labels.cpu().numpy().astype(np.uint8)
    probabilities = torch.sigmoid(logits).cpu().numpy()
    return loss.item(), find_best_threshold(labels, probabilities).f1


def new_encoder(
    train: Examples, config: ClassifierConfig, word_vectors: Array | None
) -> Standardiser | WordEncoder:
    """Encoder of word numbers by `word_vectors` (n_words, size), without them of vectors."""
    if word_vectors is not None:
        # Apple's MPS has no sparse gradients
        sparse = train.inputs.device.type != "mps"
        return WordEncoder(word_vectors, config.word_dropout, sparse=sparse)
    if not config.standardise:
        return Standardiser(torch.zeros_like(train.inputs[0]), torch.ones_like(train.inputs[0]))
    std = train.inputs.std(dim=0, correction=0).clamp(min=1e-6)
    return Standardiser(train.inputs.mean(dim=0), std)


def new_optimizers(network: GenreNetwork, config: ClassifierConfig) -> list[torch.optim.Optimizer]:
    """Adam for the layers, and for word vectors one with a learning rate of their own."""
    layers = torch.optim.Adam(network.layers.parameters(), lr=config.learning_rate, fused=True)
    if isinstance(network.encoder, Standardiser):
        return [layers]
    sparse = network.encoder.words.sparse
    optimizer_type = torch.optim.SparseAdam if sparse else torch.optim.Adam
    words = optimizer_type(network.encoder.parameters(), lr=config.word_learning_rate)
    return [layers, words]


def new_state(
    train: Examples, config: ClassifierConfig, word_vectors: Array | None = None
) -> TrainingState:
    """An untrained network and its optimisers; equal seeds give equal weights."""
    torch.manual_seed(config.seed)
    encoder = new_encoder(train, config, word_vectors)
    network = GenreNetwork(encoder, train.labels.shape[1], config.hidden, config.dropout)
    network.to(train.labels.device)
    best_weights = copy.deepcopy(network.state_dict())
    return TrainingState(network, new_optimizers(network, config), best_weights, [])


def start_or_resume(
    train: Examples,
    config: ClassifierConfig,
    word_vectors: Array | None,
    checkpoint: Path | None,
) -> TrainingState:
    """The state at `checkpoint`, or a new one; an unreadable checkpoint is deleted."""
    state = new_state(train, config, word_vectors)
    if checkpoint is None or not checkpoint.exists():
        return state
    try:
        restore_checkpoint(checkpoint, state)
    except Exception as error:  # torch raises errors of any type
        logger.warning("Checkpoint %s is discarded, training starts over: %s", checkpoint, error)
        checkpoint.unlink(missing_ok=True)
        return new_state(train, config, word_vectors)
    return state


def scale_learning_rates(optimizers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    """Set every learning rate to `factor` times that at the start of training."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * optimizer.defaults["lr"]


def usual_batch_size(config: ClassifierConfig, movies: int) -> int:
    """Movies of a batch: the configured number, or fewer for a small table."""
    return min(config.batch_size, max(MIN_BATCH_SIZE, movies // MIN_STEPS_PER_EPOCH))


def run_epoch(
    state: TrainingState,
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
) -> None:
    """Train and validate one epoch, log it, and remember the weights of the best epoch."""
    batch_size = usual_batch_size(config, len(train.labels))
    weights = positive_weights(train.labels, config.positive_weight)
    if config.decay:
        scale_learning_rates(state.optimizers, 1 - len(state.history) / config.epochs)
    start = time.perf_counter()
    loss = train_epoch(
        state.network,
        state.optimizers,
        train,
        batch_size=batch_size,
        weights=weights,
        focal_gamma=config.focal_gamma,
    )
    seconds = time.perf_counter() - start
    if isinstance(state.network.encoder, WordEncoder):
        state.network.encoder.set_statistics(train.inputs)
    val_loss, val_f1 = validate(state.network, validation)
    number = len(state.history) + 1
    state.history.append(Epoch(number, loss, val_loss, val_f1, seconds))
    if state.history[-1] is best_epoch(state.history):
        state.best_weights = copy.deepcopy(state.network.state_dict())


def useful_threads(network: GenreNetwork, batch_size: int, available: int) -> int:
    """Threads that a training step keeps busy; of a small one a quarter of the available, up to 4.

    Torch's threads wait for each other by spinning, after every one of thousands of operations. On
    two cores a second thread saves a third of the default network's time, unless another process
    uses that core: then training takes six times as long.
    """
    weights = sum(parameter.numel() for parameter in network.layers.parameters())
    small = max(1, min(MOST_THREADS_OF_SMALL, available // 4))
    return max(small, min(available, batch_size * weights // PRODUCTS_PER_THREAD))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute in `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_network(
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
    word_vectors: Array | None = None,
    checkpoint: Path | None = None,
) -> tuple[GenreNetwork, list[Epoch]]:
    """Train a network; with `patience`, stop early and return the best epoch's weights.

    With `word_vectors` (n_words, size) the inputs are word numbers, and the vectors are trained
    too. With a `checkpoint` path, the state is written there at intervals and training resumes from
    it. Every epoch has a seed of its own, so a resumed training draws the same random numbers.
    """
    with torch.random.fork_rng():
        state = start_or_resume(train, config, word_vectors, checkpoint)
        batch_size = usual_batch_size(config, len(train.labels))
        available = min(torch.get_num_threads(), cpu_count())  # torch knows no CPU quota
        with torch_threads(useful_threads(state.network, batch_size, available)):
            _run_epochs(state, train, validation, config, checkpoint)
    if config.patience is not None:
        state.network.load_state_dict(state.best_weights)
    return state.network, state.history


def _run_epochs(
    state: TrainingState,
    train: Examples,
    validation: Examples,
    config: ClassifierConfig,
    checkpoint: Path | None,
) -> None:
    last_saved = time.monotonic()
    while not should_stop(state.history, config):
        torch.manual_seed(config.seed + len(state.history) + 1)
        run_epoch(state, train=train, validation=validation, config=config)
        if checkpoint:
            write_epoch_progress(checkpoint.parent, len(state.history), config.epochs)
            last_saved = _save_when_due(state, checkpoint, last_saved)


def _save_when_due(state: TrainingState, checkpoint: Path, last_saved: float) -> float:
    """Write a checkpoint if it is time to; returns when the last one was written."""
    if time.monotonic() - last_saved < SECONDS_BETWEEN_CHECKPOINTS:
        return last_saved
    save_checkpoint(checkpoint, state)
    return time.monotonic()


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


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory in MiB so far: of the GPU if it is the device, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS reports bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
