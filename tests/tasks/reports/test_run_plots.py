import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import StageTime
from tasks.reports.run_plots import (
    drift_bars,
    movie_map,
    recall_by_k,
    stage_waterfall,
    text_histograms,
    training_curves,
)


def test_training_curves_show_the_first_network_and_doc2vec():
    classifier = pa.table(
        {
            "member": [0, 0, 1],
            "epoch": [1, 2, 1],
            "train_loss": [0.9, 0.5, 9.0],
            "val_loss": [0.8, 0.6, 9.0],
            "val_f1_micro": [0.1, 0.4, 0.0],
        }
    )
    doc2vec = pa.table({"epoch": [1, 2], "drift": [0.5, 0.1]})
    losses, f1, drift = training_curves(classifier, doc2vec, "held-out").axes
    assert [list(line.get_ydata()) for line in losses.lines] == [[0.9, 0.5], [0.8, 0.6]]
    assert list(f1.lines[0].get_ydata()) == [0.1, 0.4]
    assert list(drift.lines[0].get_ydata()) == [0.5, 0.1]


def test_histograms_count_every_document_and_word():
    documents, words = text_histograms([3, 4, 4, 90], [2, 2, 50]).axes
    assert sum(bar.get_height() for bar in documents.patches) == 4
    assert sum(bar.get_height() for bar in words.patches) == 3


def test_recall_has_a_panel_per_query_set_and_none_without_queries():
    rows = [
        {"kind": kind, "method": "ours", "k": k, "recall": k / 10}
        for kind in ("franchise", "colike")
        for k in (1, 10)
    ]
    panels = recall_by_k(pa.Table.from_pylist(rows)).axes
    assert [axes.get_title() for axes in panels] == ["Franchise recall@k", "Co-like recall@k"]
    assert list(panels[0].lines[0].get_ydata()) == [0.1, 1.0]
    assert recall_by_k(pa.table({"kind": [], "method": [], "k": [], "recall": []})) is None


def test_drift_has_a_panel_per_distribution():
    rows = [
        {"distribution": name, "bin": "a", "before": 0.2, "now": 0.3}
        for name in ("genres", "lengths")
    ]
    panels = drift_bars(pa.Table.from_pylist(rows)).axes
    assert [[bar.get_width() for bar in axes.patches] for axes in panels] == [[0.2, 0.3]] * 2


@pytest.mark.parametrize("bins", [["under 10", "from 10", "from 120"], ["1990s", "unknown"]])
def test_bins_of_a_distribution_are_ordered_by_their_numbers(bins):
    rows = [
        {"distribution": "x", "bin": name, "before": 0.1, "now": 0.1} for name in reversed(bins)
    ]
    (axes,) = drift_bars(pa.Table.from_pylist(rows)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == bins


def test_map_has_a_colour_per_shown_genre():
    positions = np.array([[0, 0], [1, 1], [2, 2]], np.float32)
    (axes,) = movie_map(positions, ["Drama", "War", "Drama"], ["Drama"]).axes
    other, drama = axes.collections
    assert other.get_offsets().tolist() == [[1, 1]]
    assert drama.get_offsets().tolist() == [[0, 0], [2, 2]]


def test_waterfall_has_a_bar_per_stage_from_its_start_to_its_end():
    stages = [StageTime("ingest", 0.0, 1.5, 1), StageTime("embed", 1.0, 4.0, 3)]
    (axes,) = stage_waterfall(stages).axes
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0.0, 1.5), (1.0, 3.0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ingest", "embed (3)"]
    assert [text.get_text() for text in axes.texts] == [" 1.5 s", " 3.0 s"]
    assert stage_waterfall([]) is None
