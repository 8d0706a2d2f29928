"""Training of the genre network on a GPU and on the CPU of the same machine.

    python -m benchmarks.gpu

The movies are drawn at random, as many and as long as those of a catalogue of 45,000: speed does
not depend on what words mean. The first epoch is left out, which also starts the device.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.page import save_results
from tasks.genres.config import ClassifierConfig
from tasks.genres.network.training import (
    Examples,
    peak_memory_mb,
    to_examples,
    train_network,
    useful_threads,
    usual_batch_size,
)

RESULTS = Path(__file__).with_name("gpu.json")
MOVIES, WORDS_PER_MOVIE, VOCABULARY, GENRES = 35_000, 45, 75_000, 20
WIDTHS = ((512, 256), (2048, 1024))
BATCH_SIZES = (512, 2048)
EPOCHS = 4


class Result(NamedTuple):
    """One training: processor, settings, epoch time and peak memory of process or GPU."""

    device: str
    hidden: str
    batch_size: int
    seconds_per_epoch: float
    samples_per_second: float
    peak_memory_mb: float


def random_movies(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Word numbers (MOVIES, 2 * WORDS_PER_MOVIE), 0 for none, and labels (MOVIES, GENRES)."""
    rng = np.random.default_rng(seed)
    numbers = np.minimum(rng.zipf(1.2, (MOVIES, 2 * WORDS_PER_MOVIE)), VOCABULARY)
    lengths = rng.integers(1, 2 * WORDS_PER_MOVIE, (MOVIES, 1))
    numbers[np.arange(2 * WORDS_PER_MOVIE) >= lengths] = 0
    labels = (rng.random((MOVIES, GENRES)) < 0.12).astype(np.uint8)
    return numbers.astype(np.int32), labels


def measure(
    movies: Examples, word_vectors: np.ndarray, hidden: tuple[int, ...], batch_size: int
) -> Result:
    """Train on all movies, on the device where they are."""
    device = movies.labels.device
    config = ClassifierConfig(hidden=hidden, batch_size=batch_size, epochs=EPOCHS, patience=None)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    network, history = train_network(movies, movies.take(np.arange(1000)), config, word_vectors)
    seconds = float(np.median([epoch.seconds for epoch in history[1:]]))
    batch_size = usual_batch_size(config, MOVIES)
    threads = useful_threads(network, batch_size, torch.get_num_threads())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor(threads)
    return Result(
        device=name,
        hidden="-".join(map(str, hidden)),
        batch_size=batch_size,
        seconds_per_epoch=seconds,
        samples_per_second=MOVIES / seconds,
        peak_memory_mb=peak_memory_mb(device),
    )


def processor(threads: int) -> str:
    """The number of cores that training uses, and that this process may use."""
    return f"{threads} of {len(os.sched_getaffinity(0))} CPU cores"


def section(results: Sequence[dict[str, object]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    lines = [
        "## GPU: `python -m benchmarks.gpu`",
        "",
        f"The genre network on {MOVIES:,} random movies of {WORDS_PER_MOVIE} words on average,",
        f"{VOCABULARY:,} words with vectors of 300 numbers, which are fine-tuned. The memory is",
        "that of the process, or of the GPU.",
        "",
        "| on | hidden layers | batch | seconds per epoch | samples/s | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for result in (Result(**row) for row in results):  # type: ignore[arg-type]
        lines.append(
            f"| {result.device} | {result.hidden} | {result.batch_size} | "
            f"{result.seconds_per_epoch:.2f} | {result.samples_per_second:,.0f} | "
            f"{result.peak_memory_mb:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every width and batch size on each device of this machine."""
    numbers, labels = random_movies()
    word_vectors = np.random.default_rng(1).normal(size=(VOCABULARY, 300)).astype(np.float32)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    results = [
        measure(to_examples(numbers, labels, torch.device(device)), word_vectors, hidden, size)
        for device in devices
        for hidden in WIDTHS
        for size in BATCH_SIZES
    ]
    save_results(RESULTS, [result._asdict() for result in results])


if __name__ == "__main__":
    main()
