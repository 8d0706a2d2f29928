"""Scores of every file with three seeds: ours and all baselines, of genres and of lists.

    python -m benchmarks.quality sample FILE … [--keywords keywords.csv]

Each file is trained with three seeds of Doc2Vec and network. Everything is reported, whoever is
ahead; nothing is chosen here. Ratings and `known_items.csv` judge where they lie beside a file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.page import save_results
from tasks.data.labels import binarize
from tasks.genres.metrics import bootstrap_f1, bootstrap_interval
from tasks.recommend.evaluation.baseline_rankers import BASELINES
from tasks.registry.tracking.metric_groups import without_groups

RESULTS = Path(__file__).with_name("quality.json")
PREDICTIONS = "evaluation/test_predictions.parquet"
SEEDS = (42, 43, 44)
GENRE_SCORES = ("f1_micro", "f1_macro")
GENRE_MODELS = {
    "ours": "test",
    "network alone": "member_network",
    "TF-IDF alone": "baseline_tfidf",
    "prior": "baseline_prior",
}
#: Parts of the classifier by the name of the margin over them: the prefix of their scores.
MEMBERS = {"network": "member_network", "tfidf": "baseline_tfidf"}
LIST_SCORES = (
    "keyword_ndcg_at_10",
    "franchise_recall_at_10",
    "colike_matched_auc",
    "known_item_recall_at_10",
    "top20_share",
)
HEADER = """## Quality: `python -m benchmarks.quality sample FILE …`

The mean of three trainings with other seeds ± their standard deviation; in brackets the 95%
interval of the first one over movies or queries. Ours is the mean of a network and TF-IDF with
logistic regression; a margin is ours minus one of them on the same movies: its mean over the
trainings, with the paired 95% interval of that mean over movies. Scores are held-out; TF-IDF has
the tokens and the class weights of the network, its C is chosen on validation movies, and no seed
changes it. Lists are those of the reported half of the queries; the default weights were chosen
before the movies of a franchise were in one half, so that some of these queries had a part in them.

"""
Run = Mapping[str, float]
#: Bootstrap samples of a margin by its name, (n_samples,) each.
Margins = Mapping[str, NDArray[np.float64]]


def train(
    source: str, root: str, seed: int, options: Sequence[str]
) -> tuple[dict[str, float], Margins]:
    """Metrics and margins of one training; stages that seeds share come from the cache."""
    flags = ["--doc2vec.seed", str(seed), "--classifier.seed", str(seed), *options]
    command = [sys.executable, "-m", "flows.train", "--source", source, *flags]
    environment = os.environ | {"RECOMMENDER_ARTIFACTS": root}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    assert experiment  # noqa: S101 - the training has created it
    run = client.search_runs([experiment.experiment_id], max_results=1)[0]
    logged = without_groups(run.data.metrics)
    metrics = {name: value for name, value in logged.items() if name in reported_names()}
    predictions = client.download_artifacts(run.info.run_id, PREDICTIONS)
    return metrics, resampled_margins(pq.read_table(predictions))


def resampled_margins(predictions: pa.Table) -> Margins:
    """Ours minus each of its parts on bootstrap samples of the test movies."""
    classes = predictions.schema.metadata[b"classes"].decode().split(", ")
    films = predictions["film"].to_numpy()
    labels, *models = (
        binarize(predictions[f"{kind}_genres"].to_pylist(), classes)
        for kind in ("actual", "predicted", *MEMBERS)
    )
    ours, *members = (bootstrap_f1(labels, model, films) for model in models)
    return {
        f"margin_f1_{average}_over_{name}": ours[average] - member[average]
        for name, member in zip(MEMBERS, members, strict=True)
        for average in ours
    }


def mean_margins(margins: Sequence[Margins]) -> dict[str, float]:
    """Intervals of the trainings' mean margins, whose samples are of the same movies."""
    intervals: dict[str, float] = {}
    for name in margins[0]:
        intervals |= bootstrap_interval(np.mean([run[name] for run in margins], axis=0), name)
    return intervals


def reported_names() -> set[str]:
    """Names of the metrics that are kept."""
    scores = [f"{model}_{score}" for model in GENRE_MODELS.values() for score in GENRE_SCORES]
    prefixes = ["rec", *(f"rec_baseline_{name}" for name in BASELINES)]
    scores += [f"{prefix}_{score}" for prefix in prefixes for score in LIST_SCORES]
    ends = ("", "_low", "_high")
    return {
        "source_kept",
        "test_calibration_error",
        *(f"{score}{end}" for score in scores for end in ends),
    }


def measured(runs: Sequence[Run], name: str) -> str:
    """Mean ± deviation over the trainings, and the interval of the first; `–` without a score."""
    if name not in runs[0]:
        return "–"
    values = np.array([run[name] for run in runs])
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}{_interval(runs[0], name)}"


def _interval(run: Run, name: str) -> str:
    if f"{name}_low" not in run:
        return ""
    return f" ({run[f'{name}_low']:.3f} to {run[f'{name}_high']:.3f})"


def margin(runs: Sequence[Run], score: str, member: str) -> str:
    """Ours minus a part of it: mean over the trainings, and its paired interval."""
    differences = [run[f"test_{score}"] - run[f"{MEMBERS[member]}_{score}"] for run in runs]
    return f"{np.mean(differences):+.3f}{_interval(runs[0], f'margin_{score}_over_{member}')}"


def genre_rows(file: str, runs: Sequence[Run]) -> Iterator[str]:
    """Rows of the table of genres."""
    label = f"{file} ({runs[0]['source_kept']:.0f})"
    for model, prefix in GENRE_MODELS.items():
        cells = [measured(runs, f"{prefix}_{score}") for score in GENRE_SCORES]
        yield f"| {label} | {model} | {' | '.join(cells)} |"
    for member, name in (("network", "the network"), ("tfidf", "TF-IDF")):
        cells = [margin(runs, score, member) for score in GENRE_SCORES]
        yield f"| {label} | margin over {name} | {' | '.join(cells)} |"


def list_rows(file: str, runs: Sequence[Run]) -> Iterator[str]:
    """Rows of the table of lists."""
    for name in ("ours", *BASELINES):
        prefix = "rec" if name == "ours" else f"rec_baseline_{name}"
        cells = [measured(runs, f"{prefix}_{score}") for score in LIST_SCORES]
        yield f"| {file} | {name} | {' | '.join(cells)} |"


def section(results: Mapping[str, Sequence[Run]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    genres = [row for file, runs in results.items() for row in genre_rows(file, runs)]
    lists = [row for file, runs in results.items() for row in list_rows(file, runs)]
    lines = [
        "| file (movies) | genres by | F1 micro | F1 macro |",
        "|---|---|---|---|",
        *genres,
        "",
        "| file | lists by | keyword nDCG@10 | franchise recall@10 | matched AUC | known items "
        "| top-20 share |",
        "|---|---|---|---|---|---|---|",
        *lists,
    ]
    return HEADER + "\n".join(lines) + "\n"


def readme_table(results: Mapping[str, Sequence[Run]]) -> str:
    """The README's table: ours and a strong baseline on every file, means of three trainings."""
    names = [f"{model}_{score}" for score in GENRE_SCORES for model in ("test", "baseline_tfidf")]
    names += [f"rec_{prefix}keyword_ndcg_at_10" for prefix in ("", "baseline_tfidf_")]
    names += [f"rec_{prefix}colike_matched_auc" for prefix in ("", "baseline_no_text_")]
    lines = [
        "| file | movies | F1 micro | TF-IDF | F1 macro | TF-IDF | keyword nDCG@10 | TF-IDF "
        "| co-like AUC | without text |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file, runs in results.items():
        cells = [
            f"{np.mean([run[name] for run in runs]):.3f}" if name in runs[0] else "–"
            for name in names
        ]
        lines.append(f"| {file} | {runs[0]['source_kept']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Files, and the keywords that judge the lists."""
    parser = argparse.ArgumentParser(description="Report scores with three seeds")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--keywords", help="file of keywords that judge the lists")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Train on every file with every seed; results of other files are kept."""
    options = parse_arguments(arguments)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    keywords = ["--ingest.keywords", options.keywords] if options.keywords else []
    for file in options.files:
        flags = [] if file == "sample" else keywords
        with tempfile.TemporaryDirectory() as root:
            runs, margins = zip(*(train(file, root, seed, flags) for seed in SEEDS), strict=True)
        results[Path(file).name] = [runs[0] | mean_margins(margins), *runs[1:]]
        ordered = sorted(results.items(), key=lambda item: item[1][0]["source_kept"])
        save_results(RESULTS, dict(ordered))


if __name__ == "__main__":
    main(sys.argv[1:])
