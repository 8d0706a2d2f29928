import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import StageTime
from tasks.recommend.evaluation.baseline_rankers import BASELINES, RECOMMENDER
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS, SCORER_SCHEMA
from tasks.reports.run_plots import (
    RELEVANCE,
    SCORERS,
    drift_bars,
    movie_map,
    relevance_by_scorer,
    relevance_popularity,
    stage_waterfall,
    text_histograms,
    training_curves,
)


def test_training_curves_show_network_and_doc2vec():
    classifier = pa.table(
        {
            "epoch": [1, 2],
            "train_loss": [0.9, 0.5],
            "val_loss": [0.8, 0.6],
            "val_f1_micro": [0.1, 0.4],
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


def scorer_rows(*metrics: str) -> pa.Table:
    """Values 1, 2, … of the scorers times the number of the metric; intervals begin 0.5 below."""
    rows = [
        {"scorer": scorer, "metric": metric, "value": value, "low": value - 0.5, "high": value}
        for factor, metric in enumerate(metrics, 1)
        for scorer, value in zip(SCORERS, np.arange(1, 99) * factor, strict=False)
    ]
    return pa.Table.from_pylist(rows, SCORER_SCHEMA)


def test_every_scorer_and_relevance_metric_has_a_name():
    assert set(SCORERS) == {RECOMMENDER, *BASELINES}
    assert list(RELEVANCE) == [name for name in RELEVANCE_METRICS if name in RELEVANCE]
    assert next(iter(RELEVANCE)) == RELEVANCE_METRICS[0]


def test_relevance_has_a_panel_per_judgement_with_intervals_of_every_scorer():
    table = scorer_rows("franchise_recall_at_10", "keyword_ndcg_at_10", "top20_share")
    panels = relevance_by_scorer(table).axes
    assert [axes.get_title() for axes in panels] == ["Keyword nDCG@10", "Franchise recall@10"]
    interval, value = panels[0].lines[2:4]
    assert list(interval.get_xdata()) == [3.5, 4]
    assert (list(value.get_xdata()), list(value.get_ydata())) == ([4], [1])
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert labels[:2] == ["this run", "TF-IDF"]


def test_relevance_is_drawn_against_popularity_with_a_point_per_scorer():
    table = scorer_rows("top20_share", "franchise_recall_at_10", "keyword_ndcg_at_10")
    (axes,) = relevance_popularity(table).axes
    assert axes.get_ylabel() == "Keyword nDCG@10"
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
    assert points == [(number, 3 * number) for number in range(1, len(SCORERS) + 1)]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [label for label, *_ in SCORERS.values()]


def test_the_first_judgement_of_a_source_is_its_headline():
    table = scorer_rows("colike_matched_auc", "franchise_recall_at_10", "top20_share")
    (axes,) = relevance_popularity(table).axes
    assert axes.get_ylabel() == "Franchise recall@10"


@pytest.mark.parametrize("draw", [relevance_by_scorer, relevance_popularity])
def test_without_judgements_relevance_is_not_drawn(draw):
    assert draw(scorer_rows("top20_share", "popularity_lift")) is None


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


def test_waterfall_has_a_bar_for_each_time_that_a_stage_was_running():
    stages = [StageTime("check", ((0.0, 1.5), (5.0, 6.0)), 2), StageTime("embed", ((1.0, 4.0),), 1)]
    (axes,) = stage_waterfall(stages).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0.0, 1.5), (5.0, 1.0), (1.0, 3.0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["check (2)", "embed"]
    assert [text.get_text() for text in axes.texts] == [" 2.5 s", " 3.0 s"]
    assert stage_waterfall([]) is None
