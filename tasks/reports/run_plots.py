"""Tables of a run -> figures: training, texts, relevance, drift, map and stage times."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.core.contracts import StageTime
from tasks.reports.plots import BLUE, GREY, ORANGE
from tasks.reports.texts import alt_texts
from tasks.reports.texts.metric_names import LIST_METRICS, SCORER_NAMES

#: Colour and marker of each scorer; the markers distinguish them without colour.
STYLES = {
    "ours": (BLUE, "o"),
    "tfidf": (ORANGE, "s"),
    "tfidf_genre": ("#009E73", "^"),
    "bm25": ("#E69F00", "v"),
    "genre": ("#CC79A7", "D"),
    "no_text": ("#56B4E9", "P"),
    "popularity": ("#000000", "*"),
    "random": (GREY, "x"),
}
#: Label, colour and marker of each scorer.
SCORERS = {scorer: (name, *STYLES[scorer]) for scorer, name in SCORER_NAMES.items()}

#: Relevance metrics in the order of their panels, and their titles.
RELEVANCE = {
    metric: LIST_METRICS[metric].term
    for metric in (
        *("keyword_ndcg_at_10", "franchise_recall_at_10"),
        *("colike_matched_auc", "known_item_recall_at_10"),
    )
}

#: Colours of Okabe and Ito, for the most frequent genres of the map.
MAP_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def training_curves(classifier: pa.Table, doc2vec: pa.Table, protocol: str) -> Figure:
    """Losses and validation F1 of the first network, and change of the Doc2Vec vectors, by epoch.

    `classifier` has the columns member, epoch, train_loss, val_loss and val_f1_micro; `doc2vec` has
    epoch and drift.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    losses, f1, drift = figure.subplots(1, 3)
    epochs, changes = classifier.to_pylist(), doc2vec["drift"].to_pylist()
    figure.set_label(alt_texts.training_text(epochs, changes))
    numbers = [row["epoch"] for row in epochs]
    train_loss, val_loss = ([row[name] for row in epochs] for name in ("train_loss", "val_loss"))
    losses.plot(numbers, train_loss, color=BLUE, marker="o", label="train")
    losses.plot(numbers, val_loss, color=ORANGE, marker="s", label="validation")
    losses.set(title="Classifier loss", xlabel="epoch", ylabel="cross-entropy")
    losses.legend()
    f1.plot(numbers, [row["val_f1_micro"] for row in epochs], color=BLUE, marker="o")
    f1.set(title="F1 micro on validation", xlabel="epoch", ylabel="F1")
    drift.plot(doc2vec["epoch"].to_pylist(), changes, color=BLUE, marker="o")
    drift.set(title="Change of Doc2Vec word weights", xlabel="epoch", ylabel="1 - cosine")
    figure.suptitle(f"Training, {protocol}")
    return figure


def text_histograms(lengths: Sequence[int], counts: Sequence[int]) -> Figure:
    """Histograms of document lengths in words, and of word counts in training."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    documents, words = figure.subplots(1, 2)
    longest, shortest = max(1, int(np.quantile(lengths, 0.99))), min(lengths)
    figure.set_label(alt_texts.text_lengths_text(lengths, counts, longest))
    step = max(1, -(-(longest - shortest) // 40))  # at least 1: no bin without a whole number
    bins = np.arange(shortest, longest + 1 + step, step) - 0.5
    documents.hist(np.minimum(lengths, longest), bins=bins, color=BLUE)
    documents.set(title="Document length", ylabel="documents")
    documents.set_xlabel(f"words (the longest 1% count as {longest})")
    words.hist(counts, np.geomspace(1, max(counts, default=1) + 1, 30), color=BLUE)
    words.set(title=f"Vocabulary: {len(counts)} words", xscale="log", yscale="log")
    words.set(xlabel="occurrences in training", ylabel="words")
    return figure


def relevance_by_scorer(table: pa.Table) -> Figure | None:
    """Relevance with 95% intervals of this run and the baselines, a panel per judgement.

    Columns scorer, metric, value, low and high; None if there is no judgement.
    """
    metrics = [name for name in RELEVANCE if name in table["metric"].to_pylist()]
    if not metrics:
        return None
    figure = Figure(figsize=(1.5 + 3.2 * len(metrics), 3.6), layout="constrained")
    rows = {(row["scorer"], row["metric"]): row for row in table.to_pylist()}
    figure.set_label(alt_texts.relevance_text(rows, metrics))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for metric, axes in zip(metrics, panels, strict=True):
        for position, (scorer, (_, colour, marker)) in enumerate(SCORERS.items()):
            row = rows[scorer, metric]
            axes.plot([row["low"], row["high"]], [position, position], color=colour)
            axes.plot(row["value"], position, color=colour, marker=marker)
        axes.set_title(RELEVANCE[metric], fontsize=10)
        axes.set(xlim=(0, None))
    panels[0].set_yticks(range(len(SCORERS)), [label for label, *_ in SCORERS.values()])
    panels[0].invert_yaxis()
    figure.supxlabel("score on the reported queries, with 95% interval", fontsize=10)
    return figure


def relevance_popularity(table: pa.Table) -> Figure | None:
    """Headline relevance against the share of all places that 20 movies take, by scorer.

    Columns as in `relevance_by_scorer`; None if there is no judgement.
    """
    present = table["metric"].to_pylist()
    headline = next((name for name in RELEVANCE if name in present), None)
    if headline is None:
        return None
    rows = {(row["scorer"], row["metric"]): row for row in table.to_pylist()}
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.set_label(alt_texts.relevance_popularity_text(rows, headline))
    axes = figure.subplots()
    for scorer, (label, colour, marker) in SCORERS.items():
        x, y = (rows[scorer, name]["value"] for name in ("top20_share", headline))
        axes.plot(x, y, color=colour, marker=marker, linestyle="", markersize=9, label=label)
    axes.margins(x=0.1, y=0.15)
    axes.set(title="Relevance and popularity bias", xscale="log", ylabel=RELEVANCE[headline])
    axes.set_xlabel("share of all places that the 20 most frequent movies take")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def drift_bars(table: pa.Table) -> Figure:
    """Shares of movies in the champion's source and in this one, a panel per distribution.

    Columns distribution, bin, before and now (`tasks.data.drift`).
    """
    bins = defaultdict(list)
    for row in table.to_pylist():
        bins[row["distribution"]].append(row)
    size = (5 * len(bins), 1.5 + 0.32 * max(map(len, bins.values())))
    figure = Figure(figsize=size, layout="constrained")
    figure.set_label(alt_texts.drift_text(table.to_pylist()))
    panels = figure.subplots(1, len(bins), squeeze=False)[0]
    for name, axes in zip(sorted(bins), panels, strict=True):
        _draw_bins(axes, name, sorted(bins[name], key=_bin_order))
    panels[-1].legend()
    figure.suptitle("Source of the champion and of this run")
    return figure


def _draw_bins(axes: Axes, name: str, bins: Sequence[dict[str, Any]]) -> None:
    positions = np.arange(len(bins))
    bars = (("before", "champion's source", GREY, -0.2), ("now", "this source", BLUE, 0.2))
    for column, label, colour, offset in bars:
        shares = [row[column] for row in bins]
        axes.barh(positions + offset, shares, 0.4, color=colour, label=label)
    axes.set_yticks(positions, [row["bin"] for row in bins])
    axes.invert_yaxis()
    axes.set(title=name, xlabel="share of movies")


def _bin_order(row: dict[str, Any]) -> tuple[float, bool, str]:
    """Sort key of a bin: the number in its name; bins without a number are last, by name."""
    digits = "".join(filter(str.isdigit, row["bin"]))
    return (float(digits or "inf"), not row["bin"].startswith("under"), row["bin"])


def movie_map(
    positions: NDArray[np.float32], genres: Sequence[str], shown: Sequence[str]
) -> Figure:
    """Movies at their `positions` (n, 2), coloured by first genre if it is in `shown`."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    figure.set_label(alt_texts.map_text(genres, shown))
    axes, first_genres = figure.subplots(), np.array(genres, dtype=object)
    size = float(np.clip(20_000 / max(1, len(genres)), 1, 20))
    groups = [("other", "#CCCCCC", ~np.isin(first_genres, list(shown)))]
    groups += [
        (genre, colour, first_genres == genre)
        for genre, colour in zip(shown, MAP_COLOURS, strict=False)
    ]
    for label, colour, rows in groups:
        x, y = positions[rows].T
        axes.scatter(x, y, color=colour, s=size, label=label, linewidths=0)
    axes.set(title=f"Map of {len(genres)} movies, by first genre", xticks=[], yticks=[])
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=20 / max(size, 4))
    return figure


def stage_waterfall(stages: Sequence[StageTime]) -> Figure | None:
    """When each stage was running, as bars, and for how long; None without stages."""
    if not stages:
        return None
    figure = Figure(figsize=(12, 1.2 + 0.26 * len(stages)), layout="constrained")
    figure.set_label(alt_texts.stages_text(stages))
    axes, positions = figure.subplots(), np.arange(len(stages))
    for row, stage in enumerate(stages):
        starts, ends = (list(times) for times in zip(*stage.spans, strict=True))
        axes.barh([row] * len(starts), np.subtract(ends, starts), left=starts, color=BLUE)
        axes.annotate(f" {stage.seconds:.1f} s", (ends[-1], row), va="center")
    labels = [f"{s.name} ({s.tasks})" if s.tasks > 1 else s.name for s in stages]
    axes.set_yticks(positions, labels)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(title="Stages (number of tasks)", xlabel="seconds since the start", xlim=(0, None))
    return figure
