"""Recommenders that benchmarks train on a file, each under an artifacts root of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.data.companions.reference_files import find_known_items, find_ratings, read_known_items
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import QuerySet, build_query_sets, is_reported_query
from tasks.recommend.evaluation.relevance_scores import KnownItem, known_item_rows
from tasks.recommend.search import load_version
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import load_champion, model_folders


class Trained(NamedTuple):
    """The recommender of a file, its models, and its queries."""

    path: Path
    catalogue: Catalogue
    model: TextModel
    query_sets: list[QuerySet]
    known_items: list[KnownItem]


def train(path: Path, root: str, options: Sequence[str] = ()) -> None:
    """Train on a file under an artifacts root of its own, unless it has a champion."""
    os.environ["RECOMMENDER_ARTIFACTS"] = root
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it to that of the root before
    if not Path(root).exists():
        command = [sys.executable, "-m", "flows.train", "--source", str(path), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def trained(path: Path, root: str, options: Sequence[str] = ()) -> Trained:
    """The recommender of a file, trained under `root` if it is new."""
    train(path, root, options)
    champion = load_champion()
    table, catalogue, _ = load_version(champion.index.uri, champion.index.tag)
    model = TextModel(model_folders(champion))
    rows = table.to_arrow()
    query_sets = build_query_sets(rows, find_ratings([str(path)]), model.text.keywords)
    return Trained(path, catalogue, model, query_sets, _known_items(path, catalogue))


def _known_items(path: Path, catalogue: Catalogue) -> list[KnownItem]:
    known = find_known_items([str(path)])
    if known is None:
        return []
    items = ((item.id, item.query) for item in read_known_items(known.file))
    return known_item_rows(catalogue, known.source, items)


def known_half(recommender: Trained, *, reported: bool) -> list[KnownItem]:
    """Known items of the choosing or the reported half, by the id of the movie."""
    movies = [recommender.catalogue.movie(item.row) for item in recommender.known_items]
    return [
        item
        for item, movie in zip(recommender.known_items, movies, strict=True)
        if is_reported_query(movie["source"], movie["id"]) == reported
    ]
