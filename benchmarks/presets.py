"""Train every preset on a file, side by side: scores, wall time and peak memory.

    python -m benchmarks.presets path/to/movies.csv

Each run is a process of its own with an empty artifacts root, so nothing comes from a cache. The
figures replace those of the same file in `benchmarks/presets.json`; `benchmarks/README.md` is
written anew from that.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mlflow

from benchmarks.page import save_results
from flows.config import PRESETS
from tasks.registry.tracking.metric_groups import without_groups

RESULTS = Path(__file__).with_name("presets.json")
METRICS = ("f1_micro", "f1_macro", "baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro")
HEADER = """## Presets: `python -m benchmarks.presets FILE …`

Scores of `default` are held-out; those of `blog` and `blog-tuned` leak, as the post's own do. All
are of the same test movies. Seconds and peak memory are of the whole process: imports, a temporary
Prefect server, MLflow, baselines and the index included.

| file | movies | preset | protocol | F1 micro | macro | TF-IDF micro | macro | seconds | peak MB |
|---|---|---|---|---|---|---|---|---|---|
"""


def measure(source: Path, preset: str) -> dict[str, Any]:
    """Train in a new process; what MLflow says of the run, its seconds and its peak memory."""
    with tempfile.TemporaryDirectory() as root:
        environment = os.environ | {"RECOMMENDER_ARTIFACTS": root}
        command = [sys.executable, "-m", "flows.train", "--source", str(source)]
        start = time.perf_counter()
        process = subprocess.Popen([*command, "--preset", preset], env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"Training {preset} on {source} failed.")
        client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
        experiment = client.get_experiment_by_name("movie-recommender")
        assert experiment  # noqa: S101 - the training has created it
        (run,) = client.search_runs([experiment.experiment_id])
    metrics, protocol = without_groups(run.data.metrics), run.data.tags["protocol"]
    prefix = "test" if protocol == "held-out" else protocol
    scores = {name: metrics.get(name, metrics.get(f"{prefix}_{name}")) for name in METRICS}
    measured = {"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}
    names = {"file": source.name, "movies": metrics["source_kept"], "preset": preset}
    return names | {"protocol": protocol} | scores | measured


def row(result: dict[str, Any]) -> str:
    """One result as a row of the table."""
    scores = [f"{result[name]:.3f}" for name in METRICS]
    cells = [result["file"], f"{result['movies']:.0f}", result["preset"], result["protocol"]]
    return " | ".join(
        ["", *cells, *scores, f"{result['seconds']:.0f}", f"{result['peak_mb']:.0f}", ""]
    )


def section(results: list[dict[str, Any]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    return HEADER + "\n".join(row(result).strip() for result in results) + "\n"


def main(sources: list[str]) -> None:
    """Measure, save the results."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for source in map(Path, sources):
        results = [result for result in results if result["file"] != source.name]
        results += [measure(source, preset) for preset in PRESETS]
    results.sort(key=lambda result: (result["movies"], list(PRESETS).index(result["preset"])))
    save_results(RESULTS, results)


if __name__ == "__main__":
    main(sys.argv[1:])
