"""Logits and labels -> the scale and shift that turn logits into calibrated ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tasks.genres.metrics import Labels

Array = NDArray[np.float32]
MIN_LABELS = 50  # positives and negatives, each


class Calibration(NamedTuple):
    """Calibrated logits are `scale` times the logits plus `shift`."""

    scale: float
    shift: float

    def apply(self, logits: Array) -> Array:
        """Calibrated logits (n, n_genres)."""
        return self.scale * logits + self.shift


def fit_calibration(logits: Array, labels: Labels) -> Calibration:
    """Scale and shift of logits (n, n_genres) that fit the labels best (Platt, 1999).

    The logits stay as they are if there are too few labels, or if labels and logits are negatively
    correlated.
    """
    positives = int(labels.sum())
    if min(positives, labels.size - positives) < MIN_LABELS:
        return Calibration(1.0, 0.0)
    platt = LogisticRegression().fit(logits.reshape(-1, 1), labels.ravel())
    if platt.coef_[0, 0] <= 0:
        return Calibration(1.0, 0.0)
    return Calibration(float(platt.coef_[0, 0]), float(platt.intercept_[0]))
