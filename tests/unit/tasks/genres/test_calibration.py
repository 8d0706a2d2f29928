import numpy as np
import pytest
from scipy.special import expit

from tasks.genres.calibration import MIN_LABELS, fit_beta_calibration, fit_calibration
from tasks.genres.inference import BetaCalibration
from tasks.genres.metrics import calibration_error


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


def test_two_slopes_are_found_where_one_is_not_enough():
    """Logits are too low by half above 0, and right below."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 3, (20_000, 2)).astype(np.float32)
    labels = (rng.random(true.shape) < expit(true)).astype(np.uint8)
    logits = np.where(true > 0, true / 2, true)
    calibration = fit_beta_calibration(logits, labels)
    assert calibration.above > 1.5 > 1.2 > calibration.below
    one_slope, two_slopes = (
        calibration_error(labels, expit(fitted.apply(logits)))
        for fitted in (fit_calibration(logits, labels), calibration)
    )
    assert two_slopes < one_slope / 2


def test_equal_slopes_are_one_scale():
    logits = np.linspace(-30, 30, 61, dtype=np.float32)[:, None]
    assert BetaCalibration().apply(logits) == pytest.approx(logits, abs=1e-5)
    assert BetaCalibration(2, 2, 1).apply(logits) == pytest.approx(2 * logits + 1, abs=1e-4)


def test_a_slope_that_would_turn_the_order_round_is_replaced():
    """Labels are as frequent among the lowest logits as among the highest."""
    logits = np.repeat(np.array([-8, -1, 0, 9], np.float32), 200)[:, None]
    labels = (np.arange(800) % 200 < np.repeat([120, 20, 20, 180], 200)).astype(np.uint8)[:, None]
    calibration = fit_beta_calibration(logits, labels)
    assert calibration.below == calibration.above > 0


def test_few_labels_leave_both_slopes_at_one():
    labels = (np.arange(300) < 9).astype(np.uint8)[:, None]
    logits = np.linspace(2, -2, 300, dtype=np.float32)[:, None]
    assert fit_beta_calibration(logits, labels) == BetaCalibration()
