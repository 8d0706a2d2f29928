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
from tasks.data.sources import find_ratings
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    Scorer,
    baseline_scorers,
    ranked_lists,
    recommender_scorer,
)
from tasks.recommend.evaluation.list_evaluation import (
    ASKING,
    METRICS,
    QuerySet,
    build_query_sets,
    coverage_queries,
    per_query_scores,
    split_queries,
)
from tasks.recommend.evaluation.ranking_metrics import coverage, mean_with_interval
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


class Asked(NamedTuple):
    """The choosing half's queries of one kind on one file, and their features."""

    catalogue: Catalogue
    kind: QuerySet
    rows: list[int]
    features: dict[str, Array]


class Trained(NamedTuple):
    """A file's recommender and what it can be asked."""

    path: Path
    catalogue: Catalogue
    kinds: list[QuerySet]


def trained(path: Path, root: str) -> Trained:
    """Train on a file under an artifacts root of its own."""
    os.environ["RECOMMENDER_ARTIFACTS"] = root
    command = [sys.executable, "-m", "flows.train", "--source", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table, catalogue, _ = load_version(
        *(getattr(load_champion().index, of) for of in ("uri", "tag"))
    )
    return Trained(path, catalogue, build_query_sets(table.to_arrow(), find_ratings([str(path)])))


def choosing(of: Trained) -> list[Asked]:
    """Features of the queries that weights are chosen on."""
    found = []
    for kind in of.kinds:
        rows = split_queries(of.catalogue, sorted(kind.relevant), wanted=False)
        likeness = similarity_features(of.catalogue.features_of(rows), of.catalogue.items)
        found.append(Asked(of.catalogue, kind, rows, likeness))
    return found


def value(asked: Asked, config: RankConfig) -> float:
    """Score of the choosing half with some weights."""
    all_scores = weighted_scores(asked.features, config)
    at = {row: position for position, row in enumerate(asked.rows)}

    def scorer(rows: Sequence[int]) -> Array:
        return all_scores[[at[row] for row in rows]]

    lists = ranked_lists(asked.catalogue, asked.rows, scorer)
    relevant = [asked.kind.relevant[row] for row in asked.rows]
    return float(METRICS[asked.kind.name](lists, relevant).mean())


def objective(asked: Sequence[Asked], config: RankConfig) -> float:
    """Mean co-like nDCG, less what the franchise recall lacks to its floor."""
    values: dict[str, list[float]] = {name: [] for name in KINDS}
    for one in asked:
        values[one.kind.name].append(value(one, config))
    lacking = max(0.0, FLOOR - float(np.mean(values[KINDS[0]])))
    return float(np.mean(values[KINDS[1]])) - 3 * lacking


def walked(asked: Sequence[Asked], start: RankConfig, seed: int = 0) -> RankConfig:
    """Weights after a random walk that only goes uphill."""
    rng, config, best = np.random.default_rng(seed), start, objective(asked, start)
    for _ in range(STEPS):
        factors = np.exp(rng.normal(0, 0.25, len(FEATURES)) * (rng.random(len(FEATURES)) < 0.5))
        weights = {
            name: min(10.0, getattr(config, name) * factor)
            for name, factor in zip(FEATURES, factors, strict=True)
        }
        step = config.model_copy(update=weights)
        if (reached := objective(asked, step)) > best:
            config, best = step, reached
    return config


def post_scorer(of: Trained) -> Scorer:
    """The post's lists: nearest by Euclidean distance among the vectors of its recipe."""
    frame, documents = preprocess(of.path)
    model = train_doc2vec(documents)
    at = {int(movie): tag for tag, movie in enumerate(frame["id"])}
    ids = of.catalogue.movies["id"].to_pylist()
    vectors = np.array([model.dv[str(at[movie])] for movie in ids], np.float32)
    squares = (vectors**2).sum(axis=1)

    def scorer(rows: Sequence[int]) -> Array:
        own = vectors[list(rows)]
        distance: Array = squares[None] + (own**2).sum(axis=1)[:, None] - 2 * own @ vectors.T
        return -distance

    return scorer


def reported(of: Trained, config: RankConfig) -> list[dict[str, Any]]:
    """Scores of the reported half: ours, ours without votes, the post's, simple methods."""
    without = config.model_copy(update={"votes": 0.0})
    scorers = {
        "ours": recommender_scorer(of.catalogue, config),
        "ours, votes at 0": recommender_scorer(of.catalogue, without),
        "the post's recipe": post_scorer(of),
        **baseline_scorers(of.catalogue.features, of.catalogue.items),
    }
    rows = coverage_queries(of.catalogue)
    found = []
    for name, scorer in scorers.items():
        row: dict[str, Any] = {"file": of.path.name, "lists": name}
        for kind in of.kinds:
            row |= mean_with_interval(per_query_scores(of.catalogue, kind, scorer), kind.name)
        row["coverage"] = coverage(ranked_lists(of.catalogue, rows, scorer), len(of.catalogue))
        found.append(row)
    return found


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in result["weights"].items())
    lines = [
        "## Lists: `python -m benchmarks.ranking FILE …`",
        "",
        "On the half of the queries that no weight was chosen on, with the config's weights; 95%",
        "intervals in brackets. Coverage is the share of the catalogue that is in the list of some",
        f"movie, with up to {ASKING} movies asking.",
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
    """Train, choose, score, save the results."""
    files = []
    with tempfile.TemporaryDirectory() as root:
        for number, path in enumerate(paths):
            files.append(trained(Path(path), f"{root}/{number}"))
        config = RankConfig()
        found = walked([one for of in files for one in choosing(of)], config)
        weights = {name: getattr(found, name) for name in FEATURES}
        print(json.dumps(weights), flush=True)
        rows = [row for of in files for row in reported(of, config)]
    save_results(RESULTS, {"weights": weights, "rows": rows})


if __name__ == "__main__":
    main(sys.argv[1:])
