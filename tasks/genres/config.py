"""Settings of the genre classifier."""

from typing import Literal

from pydantic import Field

from tasks.core.strict_config import StrictConfig


class ClassifierConfig(StrictConfig):
    """Settings of the network, its training, the ensemble and the decision thresholds."""

    hidden: tuple[int, ...] = Field((512, 256), description="Number of units of each hidden layer")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of hidden units dropped in training")
    learning_rate: float = Field(4e-3, gt=0, description="Learning rate of the Adam optimiser")
    decay: bool = Field(
        True, description="Lower the learning rates from epoch to epoch, linearly to 0"
    )
    batch_size: int = Field(512, ge=3, description="Maximum documents per training step")
    epochs: int = Field(8, ge=1, description="Maximum training epochs")
    patience: int | None = Field(
        3,
        ge=1,
        description="Epochs without a lower validation loss before training stops; null: no early "
        "stopping",
    )
    fine_tune: bool = Field(
        True,
        description="Start from Doc2Vec's word vectors and train them with the network; where "
        "`doc2vec.features` is not pooled, the network reads document vectors",
    )
    word_learning_rate: float = Field(
        1e-3, gt=0, description="Learning rate of word vectors that are fine-tuned"
    )
    word_dropout: float = Field(
        0.6, ge=0, lt=1, description="Share of a document's words left out in training"
    )
    linear: bool = Field(
        True,
        description="Average the network with the TF-IDF model, weighted on validation movies; "
        "refused where texts contain the genres (recipe blog)",
    )
    positive_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Exponent p of the positive class weight (negatives/positives)^p",
    )
    focal_gamma: float = Field(
        1.0,
        ge=0,
        description="Exponent of the focal loss (Lin et al., 2017): genres that are predicted well "
        "count less; 0: cross-entropy",
    )
    standardise: bool = Field(
        True, description="Scale document vectors to mean 0 and variance 1; word vectors always are"
    )
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
