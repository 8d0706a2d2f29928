"""When each stage of a training ran, and how many cores and how much memory it took: a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.processes import Usage
from tasks.reports.plots import BLUE

FIGURE = Path(__file__).parents[1] / "docs" / "img" / "timeline.png"
SHORTEST = 0.5  # seconds; shorter stages are left out
#: What runs before and after the stages and is no task.
TITLE = "Stages from {seconds:g} s on; before and after them: imports, Prefect's server, its end"


def draw(ours: dict[str, Any]) -> None:
    """Write `FIGURE` of a run that `benchmarks.processes.run` has measured."""
    spans = {
        name: (start - ours["started"], end - ours["started"])
        for name, (start, end) in ours["spans"].items()
        if end - start >= SHORTEST
    }
    usage = [Usage(*moment) for moment in ours["usage"]]
    figure = timeline(dict(sorted(spans.items(), key=lambda item: item[1])), usage)
    figure.savefig(FIGURE, dpi=110)


def timeline(spans: dict[str, tuple[float, float]], usage: Sequence[Usage]) -> Figure:
    """Bars of the stages above the busy cores and the memory of all processes."""
    height = 0.24 * len(spans)
    figure = Figure(figsize=(11, height + 4), layout="constrained")
    stages, cores, memory = figure.subplots(3, 1, sharex=True, height_ratios=[height, 1.5, 1.5])
    for row, (start, end) in enumerate(spans.values()):
        stages.barh(row, end - start, left=start, color=BLUE)
        stages.annotate(f" {end - start:.1f} s", (end, row), va="center", fontsize=8)
    stages.set_yticks(range(len(spans)), [name.replace("_", "-") for name in spans], fontsize=8)
    stages.invert_yaxis()
    stages.set_title(TITLE.format(seconds=SHORTEST), fontsize=10)
    seconds = [moment.second for moment in usage]
    cores.fill_between(seconds, [moment.cores for moment in usage], color=BLUE, step="pre")
    cores.set(ylabel="busy cores", ylim=(0, None))
    memory.fill_between(seconds, [moment.mb / 1000 for moment in usage], color=BLUE)
    memory.set(ylabel="memory, GB", ylim=(0, None), xlabel="seconds since the start")
    return figure
