"""Two trainings that are started together, beside one alone: whether they leave each other room.

    python -m benchmarks.at_once path/to/movies_22k.csv

Each runs in an empty artifacts root with a temporary Prefect server of its own. One alone runs
before and after the two; its time is the mean of both.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.page import save_results

PROGRAM = Path(sys.executable).with_name("movie-recommender")
RESULTS = Path(__file__).with_name("at_once.json")


def seconds_of(source: Path, trainings: int) -> float:
    """Seconds until the last of so many trainings that start together has ended."""
    start, processes = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(trainings):
            environment = os.environ | {"RECOMMENDER_ARTIFACTS": f"{folder}/{number}"}
            command = [str(PROGRAM), "train", "--source", str(source)]
            quiet = subprocess.DEVNULL
            processes.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))
        codes = [process.wait() for process in processes]
        seconds = time.perf_counter() - start
    if any(codes):
        raise SystemExit(f"A training on {source} failed.")
    return seconds


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    one, two = result["one"], result["two"]
    lines = [
        "## Two trainings at once: `python -m benchmarks.at_once FILE`",
        "",
        f"`{result['file']}`, preset `default`, on {result['cores']} cores, each training with a",
        "temporary Prefect server.",
        "",
        "| one alone, s | two together, s | ratio |",
        "|---|---|---|",
        f"| {one:.0f} | {two:.0f} | {two / one:.2f} |",
    ]
    return "\n".join(lines) + "\n"


def main(source: Path) -> None:
    """Measure, save the results."""
    before = seconds_of(source, 1)
    two = seconds_of(source, 2)
    one = (before + seconds_of(source, 1)) / 2
    cores = len(os.sched_getaffinity(0))
    save_results(RESULTS, {"file": source.name, "cores": cores, "one": one, "two": two})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
