"""How seconds, memory and disk of the whole flow grow with the catalogue.

    python -m benchmarks.scale path/to/movies_45k.csv

The file once, twice and four times over, with fresh ids and texts; `docs/scaling.md` extrapolates
from it.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.compare import stage_seconds
from benchmarks.page import save_results
from benchmarks.preprocess import repeated
from benchmarks.processes import run

RESULTS = Path(__file__).with_name("scale.json")
TIMES = (1, 2, 4)
FOLDERS = ("cache", "lancedb", "mlruns")
HEADER = """## Growth: `python -m benchmarks.scale FILE`

The whole flow on `{file}` once, twice and four times over, preset `default`. Stages run beside
each other and do not add up to the total; Doc2Vec takes fewer passes over more words. The last
column is what another million movies would take at the pace between the two largest.

| | {columns} | a million more |
|---|{rule}---|
"""


def size_mb(folder: Path) -> float:
    """Megabytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(source: Path, times: int) -> dict[str, Any]:
    """One run in an empty artifacts root: its stages' seconds, memory and disk."""
    with tempfile.TemporaryDirectory() as root:
        path = source
        if times > 1:
            path = Path(root) / f"{times}_times_{source.name}"
            repeated(source, path, times)
        ours = run("benchmarks.compare", "--ours", str(path), root=root)
        disk = {folder: size_mb(Path(root) / folder) for folder in FOLDERS}
    seconds = stage_seconds(ours["spans"]) | {"total": ours["process_seconds"]}
    memory = {"largest process": ours["peak_mb"], "all processes": ours["together_mb"]}
    return {"documents": ours["documents"], "seconds": seconds, "memory": memory, "disk": disk}


def rows(results: list[dict[str, Any]], kind: str, unit: str) -> list[str]:
    """A line for each figure of a kind, with its growth."""
    smaller, larger = results[-2:]
    million = 1e6 / (larger["documents"] - smaller["documents"])
    rows = []
    for name in larger[kind]:
        cells = [f"{result[kind][name]:.0f}" for result in results]
        growth = (larger[kind][name] - smaller[kind][name]) * million
        rows.append(f"| {name}, {unit} | {' | '.join(cells)} | {max(growth, 0):,.0f} |")
    return rows


def section(measurement: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    results = measurement["results"]
    columns = " | ".join(f"{result['documents']:,} movies" for result in results)
    head = HEADER.format(file=measurement["file"], columns=columns, rule="---|" * len(results))
    lines = [*rows(results, "seconds", "s"), *rows(results, "memory", "MB")]
    return head + "\n".join([*lines, *rows(results, "disk", "MB of disk")]) + "\n"


def main(source: Path) -> None:
    """Measure, save the results."""
    measurement = {"file": source.name, "results": [measure(source, times) for times in TIMES]}
    save_results(RESULTS, measurement)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
