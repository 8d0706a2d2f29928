import numpy as np

from tasks.genres.evaluation import f1_intervals

LABELS = np.tile(np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], np.uint8), (20, 1))


def test_margin_over_a_baseline_that_is_always_wrong_is_significant():
    intervals = f1_intervals(LABELS, LABELS, 1 - LABELS, "test")
    assert intervals["test_f1_micro_low"] == intervals["test_f1_macro_high"] == 1.0
    assert intervals["test_f1_micro_over_tfidf_low"] > 0.5


def test_margin_over_equal_predictions_is_zero():
    intervals = f1_intervals(LABELS, LABELS, LABELS, "test")
    assert intervals["test_f1_macro_over_tfidf_low"] == 0
    assert intervals["test_f1_macro_over_tfidf_high"] == 0
