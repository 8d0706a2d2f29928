"""State of a network in training -> checkpoint file and back, with a checksum.

torch does not verify what it reads, so the file starts with the SHA-256 of its content: training
never continues from weights that a disk has changed. The state is read with `weights_only`.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tasks.core.files import atomic_write
from tasks.genres.network.modules import GenreNetwork

DIGEST_BYTES = hashlib.sha256().digest_size


class Epoch(NamedTuple):
    """Log of one training epoch; `seconds` are those of the training steps alone."""

    epoch: int
    train_loss: float
    val_loss: float
    val_f1_micro: float
    seconds: float


@dataclass
class TrainingState:
    """A network in training, with its optimisers, the weights of its best epoch and its log."""

    network: GenreNetwork
    optimizers: list[torch.optim.Optimizer]
    best_weights: dict[str, Any]
    history: list[Epoch]


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write the state atomically, preceded by its SHA-256; it is never in memory as a whole."""
    values = {
        "network": state.network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
        "best": state.best_weights,
        "history": [tuple(epoch) for epoch in state.history],
    }
    with atomic_write(path) as new, new.open("w+b") as file:
        file.seek(DIGEST_BYTES)
        torch.save(values, file)
        file.seek(DIGEST_BYTES)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        file.write(digest)


def restore_checkpoint(path: Path, state: TrainingState) -> None:
    """Set `state`, of a network of the same shape, to what `save_checkpoint` wrote.

    Raises:
        ValueError: the checksum does not match. torch raises further errors of any type for
            content that does not fit; `state` is then undefined.
    """
    with path.open("rb") as file:
        digest, saved = file.read(DIGEST_BYTES), io.BytesIO(file.read())
    if hashlib.sha256(saved.getbuffer()).digest() != digest:
        raise ValueError("its checksum does not match its content")
    device = next(state.network.parameters()).device
    values = torch.load(saved, weights_only=True, map_location=device)
    state.network.load_state_dict(values["network"])
    for optimizer, saved_state in zip(state.optimizers, values["optimizers"], strict=True):
        optimizer.load_state_dict(saved_state)
    state.best_weights = values["best"]
    state.history = [Epoch(*epoch) for epoch in values["history"]]
