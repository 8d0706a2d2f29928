"""Weights of the likenesses, chosen on half of the queries and scored on the other half.

    python -m benchmarks.ranking path/to/movies_22k.csv path/to/movies_metadata_7k.csv

Trains on each file and walks at random from the config's weights: a step is taken where the mean
co-like nDCG on the choosing half grows and the franchise recall does not fall below a floor.
Ratings have to lie beside the files. The post's recipe answers the same reported queries.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.blog_baseline import preprocess, train_doc2vec
from benchmarks.page import save_results
from tasks.data.reference_files import find_ratings
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    Scorer,
    baseline_scorers,
    ranked_lists,
    recommender_scorer,
)
from tasks.recommend.evaluation.query_sets import (
    MAX_COVERAGE_QUERIES,
    QuerySet,
    build_query_sets,
    coverage_queries,
    split_queries,
)
from tasks.recommend.evaluation.ranking_metrics import coverage, mean_with_interval
from tasks.recommend.evaluation.relevance_scores import METRICS, per_query_scores
from tasks.recommend.scoring import (
    FEATURES,
    Array,
    RankConfig,
    similarity_features,
    weighted_scores,
)
from tasks.recommend.search import load_version
from tasks.registry.champion import load_champion

RESULTS = Path(__file__).with_name("ranking.json")
STEPS = 120
FLOOR = 0.88  # of the franchise recall on the choosing half
KINDS = tuple(METRICS)


class TuningQueries(NamedTuple):
    """The queries of one set and file that weights are tuned on, and their features."""

    catalogue: Catalogue
    query_set: QuerySet
    rows: list[int]
    features: dict[str, Array]


class Trained(NamedTuple):
    """The recommender of a file and its evaluation queries."""

    path: Path
    catalogue: Catalogue
    query_sets: list[QuerySet]


def trained(path: Path, root: str) -> Trained:
    """Train on a file under an artifacts root of its own."""
    os.environ["RECOMMENDER_ARTIFACTS"] = root
    command = [sys.executable, "-m", "flows.train", "--source", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table, catalogue, _ = load_version(
        *(getattr(load_champion().index, name) for name in ("uri", "tag"))
    )
    return Trained(path, catalogue, build_query_sets(table.to_arrow(), find_ratings([str(path)])))


def tuning_queries(recommender: Trained) -> list[TuningQueries]:
    """Features of the queries that weights are tuned on."""
    catalogue, queries = recommender.catalogue, []
    for query_set in recommender.query_sets:
        rows = split_queries(catalogue, sorted(query_set.relevant), wanted=False)
        features = similarity_features(catalogue.features_of(rows), catalogue.items)
        queries.append(TuningQueries(catalogue, query_set, rows, features))
    return queries


def score(queries: TuningQueries, config: RankConfig) -> float:
    """Metric of the tuning queries with some weights."""
    all_scores = weighted_scores(queries.features, config)
    positions = {row: position for position, row in enumerate(queries.rows)}

    def scorer(rows: Sequence[int]) -> Array:
        return all_scores[[positions[row] for row in rows]]

    lists = ranked_lists(queries.catalogue, queries.rows, scorer)
    relevant = [queries.query_set.relevant[row] for row in queries.rows]
    return float(METRICS[queries.query_set.name](lists, relevant).mean())


def objective(tuning_sets: Sequence[TuningQueries], config: RankConfig) -> float:
    """Mean co-like nDCG, minus a penalty for a franchise recall below its floor."""
    values: dict[str, list[float]] = {name: [] for name in KINDS}
    for queries in tuning_sets:
        values[queries.query_set.name].append(score(queries, config))
    shortfall = max(0.0, FLOOR - float(np.mean(values[KINDS[0]])))
    return float(np.mean(values[KINDS[1]])) - 3 * shortfall


def random_walk(
    tuning_sets: Sequence[TuningQueries], start: RankConfig, seed: int = 0
) -> RankConfig:
    """Weights after a random walk that only goes uphill."""
    rng, config, best = np.random.default_rng(seed), start, objective(tuning_sets, start)
    for _ in range(STEPS):
        factors = np.exp(rng.normal(0, 0.25, len(FEATURES)) * (rng.random(len(FEATURES)) < 0.5))
        weights = {
            name: min(10.0, getattr(config, name) * factor)
            for name, factor in zip(FEATURES, factors, strict=True)
        }
        step = config.model_copy(update=weights)
        if (reached := objective(tuning_sets, step)) > best:
            config, best = step, reached
    return config


def post_scorer(recommender: Trained) -> Scorer:
    """The post's lists: nearest by Euclidean distance among the vectors of its recipe."""
    frame, documents = preprocess(recommender.path)
    model = train_doc2vec(documents)
    tags = {int(movie): tag for tag, movie in enumerate(frame["id"])}
    ids = recommender.catalogue.movies["id"].to_pylist()
    vectors = np.array([model.dv[str(tags[movie])] for movie in ids], np.float32)
    squares = (vectors**2).sum(axis=1)

    def scorer(rows: Sequence[int]) -> Array:
        queries = vectors[list(rows)]
        distance: Array = squares[None] + (queries**2).sum(axis=1)[:, None]
        return -(distance - 2 * queries @ vectors.T)

    return scorer


def evaluate(recommender: Trained, config: RankConfig) -> list[dict[str, Any]]:
    """Metrics of the evaluation queries: ours, ours without votes, the post's, the baselines."""
    catalogue = recommender.catalogue
    without_votes = config.model_copy(update={"votes": 0.0})
    scorers = {
        "ours": recommender_scorer(catalogue, config),
        "ours, votes at 0": recommender_scorer(catalogue, without_votes),
        "the post's recipe": post_scorer(recommender),
        **baseline_scorers(catalogue.features, catalogue.items),
    }
    rows = coverage_queries(catalogue)
    results = []
    for name, scorer in scorers.items():
        row: dict[str, Any] = {"file": recommender.path.name, "lists": name}
        for query_set in recommender.query_sets:
            row |= mean_with_interval(
                per_query_scores(catalogue, query_set, scorer), query_set.name
            )
        row["coverage"] = coverage(ranked_lists(catalogue, rows, scorer), len(catalogue))
        results.append(row)
    return results


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in result["weights"].items())
    lines = [
        "## Lists: `python -m benchmarks.ranking FILE …`",
        "",
        "On the half of the queries that no weight was chosen on, with the config's weights; 95%",
        "intervals in brackets. Coverage is the share of the catalogue that is in the list of some",
        f"movie, with up to {MAX_COVERAGE_QUERIES} movies asking.",
        f"The other half's walk from these weights ended at: {weights}.",
        "",
        "| file | lists | franchise recall@10 | co-like nDCG@10 | coverage |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [
            f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"
            if name in row
            else "–"
            for name in KINDS
        ]
        lines.append(
            f"| {row['file']} | {row['lists']} | {' | '.join(cells)} | {row['coverage']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main(paths: list[str]) -> None:
    """Train, tune, evaluate, save the results."""
    recommenders = []
    with tempfile.TemporaryDirectory() as root:
        for number, path in enumerate(paths):
            recommenders.append(trained(Path(path), f"{root}/{number}"))
        config = RankConfig()
        queries = [part for item in recommenders for part in tuning_queries(item)]
        tuned = random_walk(queries, config)
        weights = {name: getattr(tuned, name) for name in FEATURES}
        print(json.dumps(weights), flush=True)
        rows = [row for item in recommenders for row in evaluate(item, config)]
    save_results(RESULTS, {"weights": weights, "rows": rows})


if __name__ == "__main__":
    main(sys.argv[1:])
