"""Recommenders that benchmarks train on a file, each under an artifacts root of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.list_evaluation import known_items_of
from tasks.recommend.evaluation.query_sets import QuerySet, build_query_sets, query_halves
from tasks.recommend.evaluation.relevance import Half
from tasks.recommend.evaluation.relevance_scores import KnownItem
from tasks.recommend.search import load_version
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import load_champion, model_folders

HALVES: tuple[Half, ...] = ("choosing", "reported")


class Trained(NamedTuple):
    """The recommender of a file, its models, the queries of both halves, and that of each movie."""

    path: Path
    catalogue: Catalogue
    model: TextModel
    query_sets: dict[Half, list[QuerySet]]
    known_items: dict[Half, list[KnownItem]]
    halves: list[Half]


def train(path: Path, root: str, options: Sequence[str] = ()) -> None:
    """Train on a file under an artifacts root of its own, unless something was published there."""
    os.environ["RECOMMENDER_ARTIFACTS"] = root
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it to that of the root before
    if not Path(root, "lancedb").exists():
        command = [sys.executable, "-m", "flows.train", "--source", str(path), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def trained(path: Path, root: str, options: Sequence[str] = ()) -> Trained:
    """The recommender of a file, trained under `root` if it is new."""
    train(path, root, options)
    champion = load_champion()
    table, catalogue, _ = load_version(champion.index.uri, champion.index.tag)
    model = TextModel(model_folders(champion))
    rows = table.to_arrow()
    ratings, keywords = find_ratings([str(path)]), model.text.keywords
    query_sets = {half: build_query_sets(rows, ratings, keywords, half) for half in HALVES}
    known = find_known_items([str(path)])
    known_items = {half: known_items_of(rows, catalogue, known, half) for half in HALVES}
    return Trained(path, catalogue, model, query_sets, known_items, query_halves(rows))
