"""Doc2Vec settings, and how they are scaled to the size of a corpus."""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

WORDS_PER_WORKER = 100_000  # gensim's jobs are 10,000 words: with fewer words threads stay idle
MIN_EPOCHS = 5
MAX_EPOCHS = 100  # upper bound of the epochs that scaling to a small corpus gives


class Doc2VecConfig(StrictConfig):
    """Settings of gensim's Doc2Vec (Le & Mikolov, 2014)."""

    architecture: Literal["dbow", "dm"] = Field(
        "dbow", description="Doc2Vec architecture: PV-DBOW (dbow) or PV-DM (dm)"
    )
    features: Literal["inferred", "pooled", "both"] = Field(
        "pooled",
        description="Document vectors: inferred by gensim, pooled from the output weights of the "
        "words, or both concatenated",
    )
    vector_size: int = Field(
        300, ge=2, le=2000, description="Embedding dimensions (per part if features=both)"
    )
    window: int = Field(5, ge=1, description="Context words on each side of a word (dm only)")
    min_count: int = Field(
        3, ge=1, description="Minimum occurrences of a word in the training documents"
    )
    sample: float = Field(
        1e-4,
        ge=0,
        description="Relative frequency above which occurrences of a word are randomly dropped; "
        "0: never",
    )
    negative: int = Field(5, ge=1, description="Noise words per training word (negative sampling)")
    noise_exponent: float = Field(
        0.75, ge=-1, le=1, description="Exponent of the word counts in the noise distribution"
    )
    alpha: float = Field(0.075, gt=0, le=1, description="Initial learning rate of Doc2Vec")
    epochs: int = Field(
        14, ge=1, description="Training epochs, before the limits on words change them"
    )
    min_words: int = Field(
        4_000_000,
        ge=0,
        description="Minimum words to train on, summed over the epochs: a smaller corpus gets more "
        "epochs (at most 100) and a minimum count of at most 2",
    )
    max_words: int = Field(
        17_000_000,
        ge=1,
        description="Maximum words to train on, summed over the epochs: a larger corpus gets fewer "
        "epochs (at least 5)",
    )
    restarts: int = Field(
        1, ge=1, description="Number of training rounds, each with the full learning-rate schedule"
    )
    infer_epochs: int = Field(10, ge=1, description="Epochs to infer the vector of a document")
    transductive: bool = Field(
        False,
        description="Train on validation and test documents too and use the vectors from training; "
        "this leaks test data",
    )
    workers: int = Field(
        default=2, ge=1, description="Training threads; only 1 gives reproducible results"
    )
    seed: int = Field(42, ge=0, description="Random seed of Doc2Vec training and inference")

    @model_validator(mode="after")
    def _trained_vectors_are_not_pooled(self) -> "Doc2VecConfig":
        if self.transductive and self.features != "inferred":
            raise ValueError("transductive vectors cannot be pooled: set features to inferred")
        return self


def scale_to_corpus(config: Doc2VecConfig, corpus_words: int) -> Doc2VecConfig:
    """`config` adapted to a corpus of `corpus_words` words.

    `min_words` raises the training and inference epochs and lowers `min_count`, `max_words` lowers
    the training epochs, and `workers` is limited to the threads that the corpus can keep busy.
    """
    words = max(1, corpus_words * config.epochs)
    increase, decrease = max(1.0, config.min_words / words), min(1.0, config.max_words / words)
    epochs = scale_epochs(config.epochs, increase)
    if decrease < 1:
        epochs = min(epochs, max(MIN_EPOCHS, int(epochs * decrease)))
    return config.model_copy(
        update={
            "epochs": epochs,
            "min_count": min(config.min_count, 2) if increase > 1 else config.min_count,
            "infer_epochs": scale_epochs(config.infer_epochs, increase),
            "workers": max(1, min(config.workers, corpus_words // WORDS_PER_WORKER)),
        }
    )


def scale_epochs(epochs: int, factor: float) -> int:
    """`epochs` times `factor`, at most MAX_EPOCHS but never fewer than `epochs`."""
    return max(epochs, min(MAX_EPOCHS, math.ceil(epochs * factor)))


def load_config(folder: Path) -> Doc2VecConfig:
    """The config of the model stored in `folder`, with epochs as they were scaled."""
    return Doc2VecConfig.model_validate(store.read_json(folder / "config.json"), extra="ignore")
