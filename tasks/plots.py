"""Scores -> figures; drawn without a display and without pyplot's global state."""

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve

from tasks.metrics import CALIBRATION_BINS, Labels, Probabilities, calibration_error

BLUE, ORANGE, GREY = (
    "#0072B2",
    "#D55E00",
    "#666666",
)  # Okabe and Ito: told apart by the colour-blind


def reliability(labels: Labels, probabilities: Probabilities, protocol: str) -> Figure:
    """How often genres are right that are given a probability, and how many are given it.

    Both arrays (n_documents, n_genres).
    """
    figure = Figure(figsize=(5, 6), layout="constrained")
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


def votes_curve(curve: pa.Table, chosen: float) -> Figure:
    """Relevance of the lists against the share of the catalogue that they reach, by the weight of
    votes; `chosen` is marked. Columns `votes`, `coverage_at_10`, and a kind of relevance each."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    reach, weights = curve["coverage_at_10"].to_pylist(), curve["votes"].to_pylist()
    kinds = [name for name in curve.column_names if name not in ("votes", "coverage_at_10")]
    for name, colour in zip(kinds, (BLUE, ORANGE), strict=False):
        values = curve[name].to_pylist()
        axes.plot(reach, values, color=colour, marker="o", label=name)
        for weight, x, y in zip(weights, reach, values, strict=True):
            if y is not None:
                axes.annotate(f"{weight:g}{' (chosen)' * (weight == chosen)}", (x, y))
    axes.set(title="Lists by the weight of votes", xlabel="share of the catalogue in some list")
    axes.set_ylabel("score on the reported half of the queries")
    if kinds:
        axes.legend()
    return figure
