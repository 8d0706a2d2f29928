import numpy as np
import pyarrow as pa
import pytest

from tasks.plots import reliability, votes_curve


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


def test_the_votes_curve_draws_each_kind_and_marks_the_chosen_weight():
    curve = pa.table(
        {"votes": [0.0, 1.0], "coverage_at_10": [0.6, 0.3], "colike_ndcg_at_10": [0.04, 0.15]}
    )
    (axes,) = votes_curve(curve, 1.0).axes
    (line,) = axes.lines
    assert line.get_xdata() == pytest.approx([0.6, 0.3])
    assert line.get_ydata() == pytest.approx([0.04, 0.15])
    assert [text.get_text() for text in axes.texts] == ["0", "1 (chosen)"]


def test_a_curve_without_relevance_is_drawn_empty():
    (axes,) = votes_curve(pa.table({"votes": [0.0], "coverage_at_10": [0.6]}), 0.0).axes
    assert not axes.lines
