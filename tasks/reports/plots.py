"""Scores -> figures; drawn without a display and without pyplot's global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
)

from tasks.genres.metrics import (
    CALIBRATION_BINS,
    Labels,
    Probabilities,
    apply_thresholds,
    calibration_error,
    per_genre_scores,
)

BLUE, ORANGE, GREY = (
    "#0072B2",
    "#D55E00",
    "#666666",
)  # Okabe and Ito: told apart by the colour-blind
CUTS = np.linspace(0.02, 0.98, 49)  # thresholds that are tried
DPI = 160  # the letters can be read at half the size
RENDERING = Lock()  # Matplotlib's parser of labels like 10² is one for all threads


def save(figures: Mapping[str, Figure | None], folder: Path) -> None:
    """Write figures as PNG files under their names; one that could not be drawn is left out."""
    for name, figure in figures.items():
        if figure:
            with RENDERING:
                _place_axes(figure)
                figure.savefig(folder / f"{name}.png", dpi=DPI)


def _place_axes(figure: Figure) -> None:
    """Run the layout engine and remove it: with one, `savefig` draws the whole figure twice."""
    FigureCanvasAgg(figure)  # the renderer whose letters are measured
    figure.set_dpi(DPI)
    engine = figure.get_layout_engine()
    if engine:
        engine.execute(figure)
        figure.set_layout_engine(None)


def reliability(labels: Labels, probabilities: Probabilities, protocol: str) -> Figure:
    """How often genres are right that are given a probability, and how many are given it.

    Both arrays (n_documents, n_genres).
    """
    figure = Figure(figsize=(6, 5), layout="constrained")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    right, said = calibration_curve(labels.ravel(), probabilities.ravel(), n_bins=CALIBRATION_BINS)
    error = calibration_error(labels, probabilities)
    curve.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="calibrated")
    curve.plot(said, right, color=BLUE, marker="o", label="this run")
    curve.set(title=f"Reliability, {protocol}: calibration error {error:.3f}", ylim=(0, 1))
    curve.set_ylabel("share that is right")
    curve.legend()
    counts.hist(probabilities.ravel(), np.linspace(0, 1, CALIBRATION_BINS + 1), color=BLUE)
    counts.set(xlabel="probability of a genre", ylabel="predictions", yscale="log", xlim=(0, 1))
    return figure


def votes_curve(curve: pa.Table, chosen: float) -> Figure | None:
    """Relevance of the lists against the share of the catalogue that they reach, by the weight of
    votes; `chosen` is marked. None without relevance, or where votes change nothing.

    Columns `votes`, `coverage_at_10`, and a kind of relevance each.
    """
    reach, weights = curve["coverage_at_10"].to_pylist(), curve["votes"].to_pylist()
    kinds = [name for name in curve.column_names if name not in ("votes", "coverage_at_10")]
    if not kinds or len({tuple(row[name] for name in kinds) for row in curve.to_pylist()}) == 1:
        return None
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    for name, colour in zip(kinds, (BLUE, ORANGE), strict=False):
        values = curve[name].to_pylist()
        axes.plot(reach, values, color=colour, marker="o", label=name)
        for weight, x, y in zip(weights, reach, values, strict=True):
            if y is not None:
                said = f"{weight:g}{' (chosen)' * (weight == chosen)}"
                axes.annotate(said, (x, y), (0, 8), textcoords="offset points", ha="center")
    axes.margins(y=0.2)
    axes.set(title="Lists by the weight of votes", xlabel="share of the catalogue in some list")
    axes.set_ylabel("score on the reported half of the queries")
    axes.legend()
    return figure


def genre_bars(
    labels: Labels, guess: Labels, baseline: Labels, classes: Sequence[str], protocol: str
) -> Figure:
    """F1 of each genre beside the baseline's, most frequent first, with its number of movies.

    All three arrays (n_documents, n_genres). A genre that no document carries has no bar.
    """
    support = labels.sum(axis=0)
    order = np.argsort(support, kind="stable")
    own, other = (per_genre_scores(labels, of).f1[order] for of in (guess, baseline))
    known = support[order] > 0
    figure = Figure(figsize=(7, 1.2 + 0.28 * len(classes)), layout="constrained")
    axes, at = figure.subplots(), np.arange(len(classes))
    axes.barh(at[known], own[known], color=BLUE, label="this run")
    axes.scatter(
        other[known], at[known], color=ORANGE, marker="|", s=120, linewidths=3, label="TF-IDF"
    )
    axes.set_yticks(at, [f"{classes[column]} ({support[column]})" for column in order])
    axes.set(title=f"F1 by genre (test movies), {protocol}", xlabel="F1", xlim=(0, 1))
    axes.legend(loc="lower right")
    return figure


def precision_recall(
    labels: Labels, probabilities: Probabilities, classes: Sequence[str], protocol: str
) -> Figure:
    """Precision against recall, a panel a genre, with its average precision.

    Both arrays (n_documents, n_genres). The dashed line is what guessing would give.
    """
    columns = 5
    rows = -(-len(classes) // columns)
    figure = Figure(figsize=(10, 0.6 + 1.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(classes) :]:
        axes.set_visible(False)
    for column, (name, axes) in enumerate(zip(classes, grid, strict=False)):
        actual, said = labels[:, column], probabilities[:, column]
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        if not actual.any():
            axes.set_title(name, fontsize=9)
            axes.text(0.5, 0.5, "no test movie", ha="center")
            continue
        precision, recall, _ = precision_recall_curve(actual, said)
        axes.plot(recall, precision, color=BLUE)
        axes.axhline(actual.mean(), color=GREY, linestyle="--")
        axes.set_title(f"{name}: {average_precision_score(actual, said):.2f}", fontsize=9)
    figure.suptitle(f"Precision by recall, average precision, {protocol}")
    figure.supxlabel("recall")
    figure.supylabel("precision")
    return figure


def threshold_curve(
    labels: Labels, probabilities: Probabilities, chosen: NDArray[np.float32], protocol: str
) -> Figure:
    """Micro F1, precision and recall by one threshold for all genres; the tuned ones are marked.

    Both arrays (n_documents, n_genres), `chosen` (n_genres,).
    """
    hits = np.array([(apply_thresholds(probabilities, cut) & labels).sum() for cut in CUTS])
    said = np.array([apply_thresholds(probabilities, cut).sum() for cut in CUTS])
    carried = int(labels.sum())
    precision, recall = hits / np.maximum(said, 1), hits / max(carried, 1)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(CUTS, 2 * hits / np.maximum(said + carried, 1), color=BLUE, label="F1")
    axes.plot(CUTS, np.where(said > 0, precision, np.nan), color=ORANGE, label="precision")
    axes.plot(CUTS, recall, color=GREY, label="recall")
    for at, cut in enumerate(np.unique(chosen)):
        axes.axvline(cut, color="black", linestyle=":", label=None if at else "tuned")
    axes.set(title=f"Threshold against F1 (micro), {protocol}", xlabel="threshold (probability)")
    axes.set(ylabel="score on test movies", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return figure


def cooccurrence_shares(labels: Labels) -> NDArray[np.float64]:
    """Share of the documents of a row's genre that carry a column's too (n_genres, n_genres).

    Zero where no document carries the row's; the diagonal is left out as NaN.
    """
    counts = labels.astype(np.float64)
    both = counts.T @ counts
    shares: NDArray[np.float64] = both / np.maximum(np.diag(both), 1)[:, None]
    np.fill_diagonal(shares, np.nan)
    return shares


def cooccurrence(labels: Labels, guess: Labels, classes: Sequence[str], protocol: str) -> Figure:
    """How often genres come together, as they do and as the model says.

    Both arrays (n_documents, n_genres).
    """
    size = 2.0 + 0.22 * len(classes)
    figure = Figure(figsize=(2 * size, size), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, of, title in zip(panels, (labels, guess), ("true", "predicted"), strict=True):
        image = axes.imshow(cooccurrence_shares(of), cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=9)
        axes.set_yticks(range(len(classes)), classes, fontsize=9)
        axes.set(title=title, xlabel="carries this too")
    panels[0].set_ylabel("of the movies with this genre")
    figure.colorbar(image, ax=panels, label="share")
    figure.suptitle(f"Genres that come together (test movies), {protocol}")
    return figure
