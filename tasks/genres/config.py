"""Settings of the genre classifier."""

from typing import Literal

from pydantic import Field

from tasks.core.strict_config import StrictConfig


class ClassifierConfig(StrictConfig):
    """Settings of the networks, their training, their ensemble and the decision thresholds."""

    hidden: tuple[int, ...] = Field((512, 256), description="Number of units of each hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of hidden units dropped in training")
    learning_rate: float = Field(4e-3, gt=0, description="Learning rate of the Adam optimiser")
    batch_size: int = Field(2048, ge=2, description="Maximum documents per training step")
    epochs: int = Field(20, ge=1, description="Maximum training epochs of each network")
    patience: int | None = Field(
        4,
        ge=1,
        description="Epochs without a lower validation loss before training stops; null: no early "
        "stopping",
    )
    members: int = Field(
        1, ge=1, le=20, description="Number of networks, from different seeds, to average"
    )
    linear: bool = Field(
        True,
        description="Average the networks with the TF-IDF model, weighted on validation movies; "
        "not where texts contain the genres (recipe blog)",
    )
    positive_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Exponent p of the positive class weight (negatives/positives)^p",
    )
    standardise: bool = Field(True, description="Scale every input to mean 0 and variance 1")
    calibrate: bool = Field(
        True, description="Calibrate the probabilities on validation movies (Platt scaling)"
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Minimum probability to predict a genre; null: tuned on validation movies",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Training device; auto: CUDA or MPS if available, else the CPU"
    )
    seed: int = Field(42, ge=0, description="Random seed of weights, dropout and batch order")
