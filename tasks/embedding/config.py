"""Settings of Doc2Vec, and how they are scaled to the size of a corpus."""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

WORDS_A_WORKER = 100_000  # words of a corpus from which another training thread has work
MIN_EPOCHS = 5
MAX_EPOCHS = 100  # what small corpora are scaled to at most


class Doc2VecConfig(StrictConfig):
    """Doc2Vec (Le & Mikolov, 2014) as gensim trains it."""

    architecture: Literal["dbow", "dm"] = Field("dbow", description="PV-DBOW or PV-DM")
    features: Literal["inferred", "pooled", "both"] = Field(
        "pooled",
        description="What a vector is: inferred by gensim's training, pooled from the words' "
        "weights in one step, or both side by side",
    )
    vector_size: int = Field(300, ge=2, le=2000, description="Dimensions of each of the two")
    window: int = Field(5, ge=1, description="Context words on each side (dm)")
    min_count: int = Field(3, ge=1, description="Occurrences that a word needs to be learnt")
    sample: float = Field(1e-4, ge=0, description="Share above which frequent words are thinned")
    negative: int = Field(5, ge=1, description="Noise words drawn for each word")
    noise_exponent: float = Field(
        0.75, ge=-1, le=1, description="Power of the counts by which noise words are drawn"
    )
    alpha: float = Field(0.075, gt=0, le=1, description="Learning rate at the start")
    epochs: int = Field(14, ge=1, description="Passes over the documents")
    min_words: int = Field(
        4_000_000,
        ge=0,
        description="Words to train on at least: a small corpus gets more epochs, and min_count 2",
    )
    max_words: int = Field(
        17_000_000,
        ge=1,
        description="Words to train on at most: a large corpus gets fewer epochs, five at least",
    )
    restarts: int = Field(1, ge=1, description="Times that training starts over at full rate")
    infer_epochs: int = Field(10, ge=1, description="Passes when a vector is inferred")
    transductive: bool = Field(
        False, description="Train on held-out documents too and use the trained vectors: leaks"
    )
    workers: int = Field(default=2, ge=1, description="Training threads; 1 is deterministic")
    seed: int = Field(42, ge=0, description="Seed of training and inference")

    @model_validator(mode="after")
    def _trained_vectors_are_not_pooled(self) -> "Doc2VecConfig":
        if self.transductive and self.features != "inferred":
            raise ValueError("transductive vectors are trained ones: set features to inferred")
        return self


def scale_to_corpus(config: Doc2VecConfig, corpus_words: int) -> Doc2VecConfig:
    """`config` made fit for the size of the corpus.

    More epochs, to train and to infer, and rarer words where `min_words` asks for them, fewer
    epochs to train where `max_words` does, and no more threads than there is work for: gensim
    hands out jobs of ten thousand words.
    """
    wanted = max(1, corpus_words * config.epochs)
    more, fewer = max(1.0, config.min_words / wanted), min(1.0, config.max_words / wanted)
    epochs = scale_epochs(config.epochs, more)
    if fewer < 1:
        epochs = min(epochs, max(MIN_EPOCHS, int(epochs * fewer)))
    return config.model_copy(
        update={
            "epochs": epochs,
            "min_count": min(config.min_count, 2) if more > 1 else config.min_count,
            "infer_epochs": scale_epochs(config.infer_epochs, more),
            "workers": max(1, min(config.workers, corpus_words // WORDS_A_WORKER)),
        }
    )


def scale_epochs(epochs: int, factor: float) -> int:
    """So many more epochs, up to a bound that the asked for epochs may lie over."""
    return max(epochs, min(MAX_EPOCHS, math.ceil(epochs * factor)))


def load_config(folder: Path) -> Doc2VecConfig:
    """The config that a stored model was trained with."""
    return Doc2VecConfig.model_validate(store.read_json(folder / "config.json"), extra="ignore")
