import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from tasks.core.contracts import StageTime
from tasks.reports import plots, run_plots
from tasks.reports.page_parts import to_image
from tasks.reports.texts import alt_texts
from tasks.reports.texts.metric_names import SCORER_NAMES

LABELS = np.array([[1, 0], [1, 1], [1, 0], [0, 1]], np.uint8)
PROBABILITIES = np.array([[0.9, 0.2], [0.8, 0.7], [0.3, 0.6], [0.1, 0.8]], np.float32)
CLASSES = ["Drama", "War"]


def test_genre_bars_name_the_ends_and_count_those_above_the_baseline():
    f1 = np.array([0.1, 0.9, np.nan, 0.4, 0.5])
    text = alt_texts.genre_bars_text(["A", "B", "C", "D", "E"], f1, np.full(5, 0.45))
    assert text == (
        "F1 by genre. Highest: B 0.90, E 0.50, D 0.40; lowest: A 0.10. "
        "Higher than TF-IDF in 2 of 4 genres."
    )


def test_thresholds_name_the_best_one_and_the_range_in_use():
    grid, f1 = np.array([0.2, 0.4, 0.6]), np.array([0.5, 0.7, 0.6])
    assert alt_texts.threshold_text(grid, f1, np.array([0.3, 0.45])) == (
        "F1, precision and recall by threshold. F1 is highest, 0.700, at 0.40. "
        "The thresholds in use are from 0.30 to 0.45."
    )


def test_reliability_names_each_bin():
    text = alt_texts.reliability_text(np.array([0.1, 0.7]), np.array([0.12, 0.68]), 0.0195)
    assert text.endswith("10% predicted, 12% correct; 70% predicted, 68% correct. Error 0.019.")


def test_cooccurrence_names_the_most_frequent_pairs_beside_the_predictions():
    true = np.array([[np.nan, 0.2], [0.8, np.nan]])
    text = alt_texts.cooccurrence_text(true, true / 2, CLASSES)
    assert "Most frequent: 80% of War movies are Drama (predicted: 40%); 20% of Drama" in text


def test_training_names_the_first_and_last_values():
    epochs = [
        {"train_loss": 0.9, "val_loss": 0.8, "val_f1_micro": 0.1},
        {"train_loss": 0.5, "val_loss": 0.6, "val_f1_micro": 0.4},
    ]
    assert alt_texts.training_text(epochs, [0.5, 0.2, 0.1]) == (
        "Classifier, 2 epochs: training loss from 0.900 to 0.500, validation loss from 0.800 to "
        "0.600, F1 on validation from 0.100 to 0.400. Change of Doc2Vec's word weights from 0.500 "
        "to 0.100 in 3 epochs."
    )


def test_lengths_of_texts_name_median_and_rare_words():
    assert alt_texts.text_lengths_text([3, 4, 90], [2, 9, 10], 90) == (
        "Half of the 3 documents have at most 4 words, 99% at most 90. "
        "The vocabulary has 3 words; 2 of them occur fewer than 10 times."
    )


def scorer_rows() -> dict[tuple[str, str], dict[str, float]]:
    """Keyword nDCG .1, .2, … of the scorers; every share is a tenth of it."""
    rows = {}
    for number, scorer in enumerate(SCORER_NAMES, 1):
        value = number / 10
        ends = {"low": value - 0.05, "high": value + 0.05}
        rows[scorer, "keyword_ndcg_at_10"] = {"value": value, **ends}
        rows[scorer, "top20_share"] = {"value": value / 10, "low": None, "high": None}
    return rows


def test_relevance_has_the_score_of_every_scorer():
    text = alt_texts.relevance_text(scorer_rows(), ["keyword_ndcg_at_10"])
    start = "Agreement of the top 10 with human keywords: this run 0.100 (0.050 to 0.150); TF-IDF"
    assert text.startswith(start)
    assert all(name in text for name in SCORER_NAMES.values())


def test_relevance_and_popularity_have_both_values_of_every_scorer():
    text = alt_texts.relevance_popularity_text(scorer_rows(), "keyword_ndcg_at_10")
    assert "share of 20 movies: this run 0.100 and 1.0%; TF-IDF 0.200 and 2.0%; " in text
    assert text.endswith("random 0.800 and 8.0%.")


def test_drift_names_the_largest_differences_first():
    bins = [
        {"distribution": "decades", "bin": f"{decade}s", "before": 0.1, "now": 0.1 + change}
        for decade, change in ((1980, 0.01), (1990, -0.05), (2000, 0.03), (2010, 0.02))
    ]
    text = alt_texts.drift_text(bins)
    assert "sources: decades 1990s: 10.0% in the champion's source, 5.0% in this one;" in text
    assert "1980s" not in text


def test_the_map_counts_movies_by_coloured_genre():
    genres = ["Drama", "War", "Drama", "Music"]
    assert alt_texts.map_text(genres, ["Drama", "War"]) == (
        "Map of 4 movies by first genre: Drama 2, War 1, other 1."
    )


def test_stages_name_the_longest_by_the_time_they_were_running():
    stages = [
        StageTime("twice", ((0.0, 1.0), (9.0, 10.0)), 2),
        *(StageTime(f"stage-{number}", ((0.0, number),), 1) for number in (3, 4, 5)),
    ]
    assert alt_texts.stages_text(stages) == (
        "4 stages in 10.0 seconds. Longest: stage-5 5.0 s, stage-4 4.0 s, stage-3 3.0 s."
    )


def figures() -> dict[str, Figure | None]:
    """Every figure of the report, small."""
    predictions = (PROBABILITIES >= 0.5).astype(np.uint8)
    thresholds = np.full(2, 0.5, np.float32)
    epochs = {"epoch": [1], "train_loss": [0.9], "val_loss": [0.8], "val_f1_micro": [0.1]}
    scorers = pa.Table.from_pylist(
        [{"scorer": s, "metric": m, **row} for (s, m), row in scorer_rows().items()]
    )
    bins = [{"distribution": "x", "bin": "a", "before": 0.2, "now": 0.3}]
    drift = pa.table({"epoch": [1], "drift": [0.5]})
    return {
        "genre_bars": plots.genre_bars(LABELS, predictions, predictions, CLASSES, "held-out"),
        "reliability": plots.reliability(LABELS, PROBABILITIES, "held-out"),
        "precision_recall": plots.precision_recall(LABELS, PROBABILITIES, CLASSES, "held-out"),
        "thresholds": plots.threshold_curve(LABELS, PROBABILITIES, thresholds, "held-out"),
        "cooccurrence": plots.cooccurrence(LABELS, predictions, CLASSES, "held-out"),
        "training": run_plots.training_curves(pa.table(epochs), drift, "held-out"),
        "texts": run_plots.text_histograms([3, 4], [2, 3]),
        "relevance_by_scorer": run_plots.relevance_by_scorer(scorers),
        "relevance_popularity": run_plots.relevance_popularity(scorers),
        "drift": run_plots.drift_bars(pa.Table.from_pylist(bins)),
        "map": run_plots.movie_map(np.zeros((2, 2), np.float32), ["War", "Drama"], ["War"]),
        "stages": run_plots.stage_waterfall([StageTime("ingest", ((0, 1),), 1)]),
    }


@pytest.fixture(scope="module")
def labels() -> dict[str, str]:
    return {name: str(figure.get_label()) for name, figure in figures().items() if figure}


def test_every_figure_has_a_text_with_numbers(labels):
    assert len(labels) == 12
    assert [name for name, text in labels.items() if not any(map(str.isdigit, text))] == []


def test_the_text_of_a_figure_is_in_its_file(tmp_path):
    name = "Señales 電影"
    figure = Figure(figsize=(1, 1))
    figure.set_label(name)
    plots.save_figures({"small": figure}, tmp_path)
    assert to_image((tmp_path / "small.png").read_bytes()).description == name
