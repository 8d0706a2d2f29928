"""Settings of the genre classifier."""

from typing import Literal

from pydantic import Field

from tasks.core.strict_config import StrictConfig


class ClassifierConfig(StrictConfig):
    """The network, how it is trained, and how many of it answer together."""

    hidden: tuple[int, ...] = Field((512, 256), description="Units of the hidden layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of units dropped in training")
    learning_rate: float = Field(4e-3, gt=0, description="Adam's step size")
    batch_size: int = Field(2048, ge=2, description="Documents a step, at most")
    epochs: int = Field(20, ge=1, description="Passes over the train split, at most")
    patience: int | None = Field(
        4, ge=1, description="Epochs without a better validation loss before stopping; null: never"
    )
    members: int = Field(
        1, ge=1, le=20, description="Networks from different seeds whose logits are averaged"
    )
    positive_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Power of negatives/positives by which a rare genre's carriers weigh more",
    )
    standardise: bool = Field(True, description="Bring every input to mean 0 and variance 1")
    calibrate: bool = Field(True, description="Scale and shift the logits on validation movies")
    threshold: float | None = Field(
        None, gt=0, lt=1, description="Probability from which a genre is predicted; null: tuned"
    )
    threshold_support: int | None = Field(
        None,
        ge=1,
        description="Validation movies that give a genre a threshold of its own; null: one for all",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to train")
    seed: int = Field(42, ge=0, description="Seed of weights, dropout and batch order")
