"""Tables of a run and its source -> figures: how it learnt, what it read, how far lists reach."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.core.contracts import StageTime
from tasks.reports.plots import BLUE, GREY, ORANGE

#: Name, colour and marker of whose lists are drawn: told apart without colour too.
METHODS = {
    "ours": ("this run", BLUE, "o"),
    "tfidf": ("TF-IDF", ORANGE, "s"),
    "tfidf_genre": ("TF-IDF and genre", "#009E73", "^"),
    "genre": ("genre", "#CC79A7", "D"),
    "random": ("chance", GREY, "x"),
}

KINDS = {"franchise": "Franchise", "colike": "Co-like"}

#: Okabe and Ito's colours, for the most frequent genres of the map.
MAP_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def training_curves(classifier: pa.Table, doc2vec: pa.Table, protocol: str) -> Figure:
    """Losses and validation F1 of the first network, and Doc2Vec's drift, by epoch.

    `classifier` has the columns member, epoch, train_loss, val_loss and val_f1_micro, `doc2vec`
    epoch and drift.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    losses, f1, drift = figure.subplots(1, 3)
    first = [row for row in classifier.to_pylist() if row["member"] == 0]
    epochs = [row["epoch"] for row in first]
    losses.plot(epochs, [row["train_loss"] for row in first], color=BLUE, marker="o", label="train")
    validation = [row["val_loss"] for row in first]
    losses.plot(epochs, validation, color=ORANGE, marker="s", label="validation")
    losses.set(title="Classifier's loss", xlabel="epoch", ylabel="cross-entropy")
    losses.legend()
    f1.plot(epochs, [row["val_f1_micro"] for row in first], color=BLUE, marker="o")
    f1.set(title="F1 micro on validation", xlabel="epoch", ylabel="F1")
    drift.plot(doc2vec["epoch"].to_pylist(), doc2vec["drift"].to_pylist(), color=BLUE, marker="o")
    drift.set(title="Doc2Vec still moves", xlabel="epoch", ylabel="1 - cosine")
    figure.suptitle(f"Training, {protocol}")
    return figure


def text_histograms(lengths: Sequence[int], counts: Sequence[int]) -> Figure:
    """Documents by their number of words, and words by how often they occur in training."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    documents, words = figure.subplots(1, 2)
    longest = max(1, int(np.quantile(lengths, 0.99)))
    shortest = min(lengths)
    step = max(1, -(-(longest - shortest) // 40))  # whole words: a bar of no number would be empty
    bins = np.arange(shortest, longest + 1 + step, step) - 0.5
    documents.hist(np.minimum(lengths, longest), bins=bins, color=BLUE)
    documents.set(title="Document length", ylabel="documents")
    documents.set_xlabel(f"words (the longest 1% at {longest})")
    most = max(counts, default=1)
    words.hist(counts, np.geomspace(1, most + 1, 30), color=BLUE)
    words.set(title=f"Vocabulary: {len(counts)} words", xscale="log", yscale="log")
    words.set(xlabel="occurrences in training", ylabel="words")
    return figure


def recall_by_k(table: pa.Table) -> Figure | None:
    """Recall of lists by their length, a panel a kind of query; None where there is no query.

    Columns kind, method, k and recall (`tasks.recommend.evaluation.list_evaluation.recall_by_k`).
    """
    rows = table.to_pylist()
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    if not kinds:
        return None
    figure = Figure(figsize=(1 + 5 * len(kinds), 4.5), layout="constrained")
    for kind, axes in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0], strict=True):
        for method, (name, colour, marker) in METHODS.items():
            own = [row for row in rows if (row["kind"], row["method"]) == (kind, method)]
            at = [row["k"] for row in own], [row["recall"] for row in own]
            axes.plot(*at, color=colour, marker=marker, label=name)
        axes.set(title=f"{KINDS[kind]} recall@k", xlabel="k, movies in a list", xscale="log")
        ks = sorted({row["k"] for row in rows})
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.set(ylabel="recall (reported half)", ylim=(0, None))
        axes.legend()
    return figure


def drift_bars(table: pa.Table) -> Figure:
    """Shares of movies before and now, a panel a distribution.

    Columns distribution, bin, before and now (`tasks.data.drift`).
    """
    rows = table.to_pylist()
    kinds = sorted({row["distribution"] for row in rows})
    tallest = max(sum(row["distribution"] == kind for row in rows) for kind in kinds)
    size = (5 * len(kinds), 1.5 + 0.32 * tallest)
    figure = Figure(figsize=size, layout="constrained")
    for kind, axes in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0], strict=True):
        own = sorted((r for r in rows if r["distribution"] == kind), key=_by_number)
        at = np.arange(len(own))
        for shift, name, colour in ((-0.2, "before", GREY), (0.2, "now", BLUE)):
            axes.barh(at + shift, [row[name] for row in own], 0.4, color=colour, label=name)
        axes.set_yticks(at, [row["bin"] for row in own])
        axes.invert_yaxis()
        axes.set(title=kind, xlabel="share of movies")
    axes.legend()
    figure.suptitle("The source since the champion's")
    return figure


def _by_number(row: dict[str, Any]) -> tuple[float, bool, str]:
    """Bins in the order of the number in their name; those without one at the end, by name."""
    digits = "".join(filter(str.isdigit, row["bin"]))
    return (float(digits or "inf"), not row["bin"].startswith("under"), row["bin"])


def movie_map(
    positions: NDArray[np.float32], genres: Sequence[str], shown: Sequence[str]
) -> Figure:
    """Movies at their `positions` (n, 2), in the colour of their first genre where it is shown."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes, names = figure.subplots(), np.array(genres, dtype=object)
    size = float(np.clip(20_000 / max(1, len(names)), 1, 20))
    other = ~np.isin(names, list(shown))
    x, y = positions[other].T
    axes.scatter(x, y, color="#CCCCCC", s=size, label="other", linewidths=0)
    for name, colour in zip(shown, MAP_COLOURS, strict=False):
        of = names == name
        x, y = positions[of].T
        axes.scatter(x, y, color=colour, s=size, label=name, linewidths=0)
    axes.set(title=f"Map of {len(names)} movies, by first genre", xticks=[], yticks=[])
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=20 / max(size, 4))
    return figure


def stage_waterfall(stages: Sequence[StageTime]) -> Figure | None:
    """When each stage ran and for how long; None where nothing is known of any."""
    if not stages:
        return None
    figure = Figure(figsize=(12, 1.2 + 0.26 * len(stages)), layout="constrained")
    axes, at = figure.subplots(), np.arange(len(stages))
    seconds = [stage.end - stage.start for stage in stages]
    axes.barh(at, seconds, left=[stage.start for stage in stages], color=BLUE)
    for row, stage in enumerate(stages):
        axes.annotate(f" {stage.end - stage.start:.1f} s", (stage.end, row), va="center")
    named = [f"{one.name} ({one.tasks})" if one.tasks > 1 else one.name for one in stages]
    axes.set_yticks(at, named)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(title="Stages (number of tasks)", xlabel="seconds from the start", xlim=(0, None))
    return figure
