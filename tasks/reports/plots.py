"""Genre scores and recommendation scores -> matplotlib figures, without pyplot's global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve

from tasks.genres.metrics import (
    CALIBRATION_BINS,
    Labels,
    Probabilities,
    apply_thresholds,
    calibration_error,
    per_genre_scores,
)
from tasks.reports.fonts import use_fallback_fonts
from tasks.reports.texts import alt_texts

# Colours of Okabe and Ito, which the colour-blind can distinguish.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
THRESHOLD_GRID = np.linspace(0.02, 0.98, 49)
DPI = 160  # letters stay readable at half the size
DESCRIPTION = "Description"  # text chunk of a PNG file: what the figure shows, for its alt text
RENDERING = Lock()  # Matplotlib's parser of labels like 10² is shared by all threads


def save_figures(figures: Mapping[str, Figure | None], folder: Path) -> None:
    """Write each figure, with its label as description, to the PNG file of its name.

    None is left out.
    """
    for name, figure in figures.items():
        if figure:
            with RENDERING:
                use_fallback_fonts(figure)
                _place_axes(figure)
                description = {DESCRIPTION: str(figure.get_label())}
                figure.savefig(folder / f"{name}.png", dpi=DPI, metadata=description)


def _place_axes(figure: Figure) -> None:
    """Run the layout engine and remove it: with one, `savefig` draws the whole figure twice."""
    FigureCanvasAgg(figure)  # the renderer whose letters are measured
    figure.set_dpi(DPI)
    engine = figure.get_layout_engine()
    if engine:
        engine.execute(figure)
        figure.set_layout_engine(None)


def reliability(labels: Labels, probabilities: Probabilities, protocol: str) -> Figure:
    """Share of positives by predicted probability, above a histogram of the probabilities.

    `labels` and `probabilities` are (n_documents, n_genres).
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    positive_share, mean_probability = calibration_curve(
        labels.ravel(), probabilities.ravel(), n_bins=CALIBRATION_BINS
    )
    error = calibration_error(labels, probabilities)
    figure.set_label(alt_texts.reliability_text(mean_probability, positive_share, error))
    curve.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="calibrated")
    curve.plot(mean_probability, positive_share, color=BLUE, marker="o", label="this run")
    curve.set(title=f"Reliability, {protocol}: calibration error {error:.3f}", ylim=(0, 1))
    curve.set_ylabel("share of correct predictions")
    curve.legend()
    counts.hist(probabilities.ravel(), np.linspace(0, 1, CALIBRATION_BINS + 1), color=BLUE)
    counts.set(xlabel="probability of a genre", ylabel="predictions", yscale="log", xlim=(0, 1))
    return figure


def genre_bars(
    labels: Labels, predictions: Labels, baseline: Labels, classes: Sequence[str], protocol: str
) -> Figure:
    """F1 per genre of the predictions and of the baseline's, most frequent genre first.

    The arrays are (n_documents, n_genres). A genre without true labels has no bar.
    """
    support = labels.sum(axis=0)
    order = np.argsort(support, kind="stable")
    f1, baseline_f1 = (per_genre_scores(labels, y).f1[order] for y in (predictions, baseline))
    present = support[order] > 0
    figure = Figure(figsize=(11, 1.2 + 0.28 * len(classes)), layout="constrained")
    names, bars = [classes[column] for column in order], np.where(present, f1, np.nan)
    figure.set_label(alt_texts.genre_bars_text(names, bars, baseline_f1))
    axes, positions = figure.subplots(), np.arange(len(classes))
    axes.barh(positions[present], f1[present], color=BLUE, label="this run")
    axes.scatter(
        baseline_f1[present],
        positions[present],
        color=ORANGE,
        marker="|",
        s=120,
        linewidths=3,
        label="TF-IDF",
    )
    axes.set_yticks(positions, [f"{classes[column]} ({support[column]})" for column in order])
    axes.set(title=f"F1 per genre (test movies), {protocol}", xlabel="F1", xlim=(0, 1))
    axes.legend(loc="lower right")
    return figure


def precision_recall(
    labels: Labels, probabilities: Probabilities, classes: Sequence[str], protocol: str
) -> Figure:
    """Precision-recall curve and average precision, a panel per genre.

    `labels` and `probabilities` are (n_documents, n_genres). The dashed lines are random guessing.
    """
    n_columns = 5
    n_rows = -(-len(classes) // n_columns)
    figure = Figure(figsize=(10, 0.6 + 1.9 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(classes) :]:
        axes.set_visible(False)
    average_precision = {
        name: _draw_precision_recall(axes, name, labels[:, genre], probabilities[:, genre])
        for genre, (name, axes) in enumerate(zip(classes, panels, strict=False))
    }
    known = {name: score for name, score in average_precision.items() if score is not None}
    figure.set_label(alt_texts.precision_recall_text(known))
    figure.suptitle(f"Precision and recall, with average precision, {protocol}")
    figure.supxlabel("recall")
    figure.supylabel("precision")
    return figure


def _draw_precision_recall(
    axes: Axes, genre: str, labels: Labels, probabilities: Probabilities
) -> float | None:
    """Draw the panel of a genre; return its average precision, None without test movies."""
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    if not labels.any():
        axes.set_title(genre, fontsize=9)
        axes.text(0.5, 0.5, "no test movie", ha="center")
        return None
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    axes.plot(recall, precision, color=BLUE)
    axes.axhline(labels.mean(), color=GREY, linestyle="--")
    score = float(average_precision_score(labels, probabilities))
    axes.set_title(f"{genre}: {score:.2f}", fontsize=9)
    return score


def threshold_curve(
    labels: Labels, probabilities: Probabilities, tuned: NDArray[np.float32], protocol: str
) -> Figure:
    """Micro F1, precision and recall by global threshold; the range of the `tuned` ones is marked.

    `labels` and `probabilities` are (n_documents, n_genres), `tuned` is (n_genres,).
    """
    predictions = (apply_thresholds(probabilities, threshold) for threshold in THRESHOLD_GRID)
    hits, predicted = np.array([((y & labels).sum(), y.sum()) for y in predictions]).T
    positives = int(labels.sum())
    f1 = 2 * hits / np.maximum(predicted + positives, 1)
    precision = np.where(predicted > 0, hits / np.maximum(predicted, 1), np.nan)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    figure.set_label(alt_texts.threshold_text(THRESHOLD_GRID, f1, tuned))
    axes = figure.subplots()
    axes.plot(THRESHOLD_GRID, f1, color=BLUE, label="F1")
    axes.plot(THRESHOLD_GRID, precision, color=ORANGE, linestyle="--", label="precision")
    axes.plot(THRESHOLD_GRID, hits / max(positives, 1), color=GREY, linestyle=":", label="recall")
    axes.axvspan(tuned.min(), tuned.max(), color="black", alpha=0.1, label="tuned, by genre")
    axes.set(title=f"F1 (micro) by threshold, {protocol}", xlabel="threshold (probability)")
    axes.set(ylabel="score on test movies", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return figure


def cooccurrence_shares(labels: Labels) -> NDArray[np.float64]:
    """Share (n_genres, n_genres) of the documents of a row's genre that also have the column's.

    Zero for a row's genre without documents; the diagonal is NaN.
    """
    indicator = labels.astype(np.float64)
    counts = indicator.T @ indicator
    shares: NDArray[np.float64] = counts / np.maximum(np.diag(counts), 1)[:, None]
    np.fill_diagonal(shares, np.nan)
    return shares


def cooccurrence(
    labels: Labels, predictions: Labels, classes: Sequence[str], protocol: str
) -> Figure:
    """Co-occurrence of genres in the true labels and in the predictions, side by side.

    `labels` and `predictions` are (n_documents, n_genres).
    """
    size = 2.0 + 0.22 * len(classes)
    figure = Figure(figsize=(2 * size, size), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    true, predicted = cooccurrence_shares(labels), cooccurrence_shares(predictions)
    figure.set_label(alt_texts.cooccurrence_text(true, predicted, classes))
    shares = {"true": true, "predicted": predicted}
    for axes, (title, matrix) in zip(panels, shares.items(), strict=True):
        image = axes.imshow(matrix, cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=9)
        axes.set_yticks(range(len(classes)), classes, fontsize=9)
        axes.set(title=title, xlabel="also have this genre")
    panels[0].set_ylabel("movies with this genre")
    figure.colorbar(image, ax=panels, label="share")
    figure.suptitle(f"Genres that occur together (test movies), {protocol}")
    return figure
