"""Which of the cheaper presets stay above the baseline in every whole run, and not in one.

    python -m benchmarks.cheapest path/to/movies_22k.csv

`embedding_sweep` says what lies in the interval of the best on validation movies. What is cheaper
than the default there is run whole here, with three seeds, beside the default and what costs more.
Stages that variants share come from the cache; a training's seconds are those of when it was done.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from benchmarks.embedding_sweep import VARIANTS
from benchmarks.page import save_results

RESULTS = Path(__file__).with_name("cheapest.json")
SEEDS = (42, 43, 44)
CHOSEN = (
    "half the epochs at twice the rate",
    "words alone, no stems or pairs",
    "150 dimensions",
    "a network of 512",
    "genres weigh alike (power 0)",
    "default",
    "three networks",
)
SCORES = ("f1_micro", "f1_macro")
TRAININGS = ("doc2vec_seconds", "train_seconds")
HEADER = """## The cheapest that holds: `python -m benchmarks.cheapest FILE`

Whole runs with three seeds of what lies in the best variant's interval above: mean and lowest
test score, the lowest margin over the run's own TF-IDF baseline ({micro:.3f} and {macro:.3f}),
and the seconds of both trainings. A preset that falls to the baseline in one run of three is no
default, however cheap it is.

| variant | F1 micro, lowest | macro, lowest | margin micro | macro | above in all | trainings, s |
|---|---|---|---|---|---|---|
"""


def train(source: Path, root: str, name: str, seed: int) -> dict[str, float]:
    """Scores and seconds of one whole run."""
    flags = ["--doc2vec.seed", str(seed), "--classifier.seed", str(seed)]
    for stage, values in VARIANTS[name].items():
        for key, value in values.items():
            switch = "" if value is not False else "no-"
            flags.append(f"--{switch}{stage}.{key}")
            flags += [] if isinstance(value, bool) else [json.dumps(value)]
    command = [sys.executable, "-m", "flows.train", "--source", str(source), *flags]
    environment = os.environ | {"RECOMMENDER_ARTIFACTS": root}
    subprocess.run(command, env=environment, check=True)
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    metrics = client.search_runs([experiment.experiment_id], max_results=1)[0].data.metrics
    names = [f"{split}_{score}" for split in ("test", "baseline_tfidf") for score in SCORES]
    return {name: metrics[name] for name in (*names, *TRAININGS)}


def row(name: str, runs: list[dict[str, float]]) -> str:
    """A variant's line of the table."""
    values = {key: np.array([run[key] for run in runs]) for key in runs[0]}
    cells, margins = [], []
    for score in SCORES:
        test_scores = values[f"test_{score}"]
        cells.append(f"{test_scores.mean():.3f}, {test_scores.min():.3f}")
        margins.append((test_scores - values[f"baseline_tfidf_{score}"]).min())
    cells += [f"{margin:+.3f}" for margin in margins]
    seconds = sum(values[key].mean() for key in TRAININGS)
    return (
        f"| {name} | {' | '.join(cells)} | {'yes' if min(margins) > 0 else 'no'} | {seconds:.1f} |"
    )


def section(results: dict[str, list[dict[str, Any]]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    first = results["default"][0]
    head = HEADER.format(
        micro=first["baseline_tfidf_f1_micro"], macro=first["baseline_tfidf_f1_macro"]
    )
    return head + "\n".join(row(name, runs) for name, runs in results.items()) + "\n"


def main(source: Path) -> None:
    """Run them all, save the results."""
    with tempfile.TemporaryDirectory() as root:
        results = {name: [train(source, root, name, seed) for seed in SEEDS] for name in CHOSEN}
    save_results(RESULTS, results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
