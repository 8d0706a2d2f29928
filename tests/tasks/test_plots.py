import numpy as np
import pytest

from tasks.plots import reliability


def test_the_reliability_plot_shows_shares_and_counts():
    labels = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], np.uint8)
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], np.float32)
    curve, counts = reliability(labels, said, "held-out").axes
    diagonal, line = curve.lines
    assert list(diagonal.get_xdata()) == [0, 1]
    assert line.get_xdata() == pytest.approx([0.1, 0.9])
    assert line.get_ydata() == pytest.approx([0.25, 0.75])
    assert sum(patch.get_height() for patch in counts.patches) == 8
    assert curve.get_title() == "Reliability, held-out: calibration error 0.150"
