"""Logits and labels -> what turns logits into calibrated ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tasks.genres.inference import BetaCalibration
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


def fit_beta_calibration(logits: Array, labels: Labels) -> BetaCalibration:
    """Slopes and shift of logits (n, n_genres) that fit the labels best (Kull et al., 2017).

    One slope is not enough for a mean of calibrated logits: the best ones of low and high logits
    are about 1.14 and .81 on 22,000 movies. With few labels, or a slope that would turn the order
    round, both are equal.
    """
    platt = fit_calibration(logits, labels)
    equal = BetaCalibration(platt.scale, platt.scale, platt.shift)
    if platt == Calibration(1.0, 0.0):
        return equal
    values = logits.ravel()
    terms = np.stack([-np.logaddexp(0, -values), np.logaddexp(0, values)], axis=1)
    below, above = (model := LogisticRegression().fit(terms, labels.ravel())).coef_[0]
    if min(below, above) <= 0:
        return equal
    return BetaCalibration(float(below), float(above), float(model.intercept_[0]))
