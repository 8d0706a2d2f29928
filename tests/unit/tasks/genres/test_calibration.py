import numpy as np
import pytest
from scipy.special import expit

from tasks.genres.calibration import MIN_LABELS, fit_calibration


def test_logits_are_calibrated_with_their_true_scale_and_shift():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (5000, 2)).astype(np.float32)
    labels = (rng.random((5000, 2)) < expit(0.5 * logits + 1)).astype(np.uint8)
    assert fit_calibration(logits, labels) == pytest.approx((0.5, 1), abs=0.1)
    assert fit_calibration(-logits, labels) == (1, 0)


@pytest.mark.parametrize(("positives", "fits"), [(MIN_LABELS - 1, False), (MIN_LABELS, True)])
def test_few_labels_leave_the_logits_as_they_are(positives, fits):
    labels = (np.arange(300) < positives).astype(np.uint8)[:, None]
    logits = np.linspace(2, -2, 300, dtype=np.float32)[:, None]
    for values in (labels, 1 - labels):
        sign = 1 if values is labels else -1
        assert (fit_calibration(sign * logits, values) != (1, 0)) == fits


def test_logits_that_say_nothing_stay_uncalibrated():
    labels = (np.arange(300) < 150).astype(np.uint8)[:, None]
    assert fit_calibration(np.zeros((300, 1), np.float32), labels) == (1, 0)
