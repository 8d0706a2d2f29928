from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.figure import Figure

from tasks.reports.plots import (
    cooccurrence_shares,
    genre_bars,
    precision_recall,
    reliability,
    save_figures,
    threshold_curve,
)

LABELS = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8)
PROBABILITIES = np.array([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.3, 0.6, 0.1]], np.float32)
CLASSES = ["Drama", "War", "Western"]


def test_reliability_plot_shows_shares_and_counts():
    labels = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], np.float32)
    curve, counts = reliability(labels, probabilities, "held-out").axes
    diagonal, line = curve.lines
    assert list(diagonal.get_xdata()) == [0, 1]
    assert line.get_xdata() == pytest.approx([0.1, 0.9])
    assert line.get_ydata() == pytest.approx([0.25, 0.75])
    assert sum(patch.get_height() for patch in counts.patches) == 8
    assert curve.get_title() == "Reliability, held-out: calibration error 0.150"


def test_genres_are_ordered_by_support_and_have_a_mark_of_the_baseline():
    predictions, baseline = (PROBABILITIES >= 0.5).astype(np.uint8), np.zeros_like(LABELS)
    (axes,) = genre_bars(LABELS, predictions, baseline, CLASSES, "held-out").axes
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert ticks == ["Western (0)", "War (1)", "Drama (3)"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([2 / 3, 0.8])
    assert axes.collections[0].get_offsets()[:, 0].tolist() == [0, 0]


def test_panel_of_a_genre_without_test_movies_says_so():
    panels = precision_recall(LABELS, PROBABILITIES, CLASSES, "held-out").axes
    assert [axes.get_title() for axes in panels[:3]] == ["Drama: 1.00", "War: 1.00", "Western"]
    assert [text.get_text() for text in panels[2].texts] == ["no test movie"]
    assert not panels[3].get_visible()


def test_threshold_curve_has_the_scores_at_0_5_and_marks_the_tuned_thresholds():
    tuned = np.array([0.5, 0.5, 0.4], np.float32)
    (axes,) = threshold_curve(LABELS, PROBABILITIES, tuned, "held-out").axes
    f1, precision, recall = axes.lines
    assert f1.get_ydata()[24] == pytest.approx(2 * 3 / (4 + 4))  # at threshold 0.5
    assert precision.get_ydata()[24] == pytest.approx(3 / 4)
    assert recall.get_ydata()[24] == pytest.approx(3 / 4)
    (mark,) = axes.patches
    assert (mark.get_x(), mark.get_width()) == pytest.approx((0.4, 0.1))


def test_cooccurrence_is_the_share_of_the_row_genres_movies():
    shares = cooccurrence_shares(LABELS)
    assert shares[0, 1] == pytest.approx(1 / 3)
    assert shares[1, 0] == 1
    assert shares[2].tolist()[:2] == [0, 0]
    assert np.isnan(np.diag(shares)).all()


def test_figures_are_saved_by_name_and_none_is_left_out(tmp_path):
    save_figures({"curve": reliability(LABELS, PROBABILITIES, "held-out"), "other": None}, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["curve.png"]


def formulas(first: int) -> Figure:
    """A figure with labels that Matplotlib has to parse, as those of logarithmic axes."""
    figure = Figure(layout="constrained")
    figure.subplots().set_xticks(range(9), [f"$10^{{{first + n}}}$" for n in range(9)])
    return figure


def test_figures_can_be_written_by_several_threads(tmp_path):
    figures = [{str(number): formulas(100 * number)} for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save_figures, figures, [tmp_path] * len(figures)))
    assert len(list(tmp_path.iterdir())) == len(figures)
