"""Validation movies -> those that networks stop on, and those that calibrate, weigh and threshold.

The C of the linear model is chosen on all of them: there are few values to choose from.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.genres.config import ClassifierConfig

MIN_HALF_OF_VALIDATION = 200  # movies, for two choices to have movies of their own


def stopping_rows(n_movies: int, config: ClassifierConfig) -> NDArray[np.int64]:
    """Positions of the validation movies on which a network stops its training."""
    return np.arange(0, n_movies, 2 if is_halved(n_movies, config) else 1)


def choosing_rows(n_movies: int, config: ClassifierConfig) -> NDArray[np.int64]:
    """Positions of the validation movies that calibrate, weigh models and tune thresholds."""
    return np.arange(1, n_movies, 2) if is_halved(n_movies, config) else np.arange(n_movies)


def is_halved(n_movies: int, config: ClassifierConfig) -> bool:
    """Whether there is a half for each: all movies serve for both where a half would be too small.

    Where nothing stops early, no half is needed for it.
    """
    return config.patience is not None and n_movies >= 2 * MIN_HALF_OF_VALIDATION
