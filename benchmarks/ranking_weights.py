"""Ranking weights from the choosing half of the queries: a random walk within limits on bias."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.recommenders import Trained
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER, Scorers
from tasks.recommend.evaluation.list_metrics import popularity_metrics
from tasks.recommend.evaluation.query_sets import QuerySet
from tasks.recommend.evaluation.ranking_metrics import query_values
from tasks.recommend.evaluation.relevance_scores import score_known_items
from tasks.recommend.scoring import (
    Array,
    RankConfig,
    TextWeights,
    similarity_features,
    weighted_scores,
)

STEPS = 60
CHOOSING_QUERIES = 250  # of each set and file
BIAS_QUERIES = 300
TUNED = ("content", "words", "title", "hidden", "genre", "people", "year", "quality", "votes")
#: Limits with a margin, because the choosing half is a sample: lists of a version have to keep a
#: top-20 share of .03, a lift of .10 and a matched AUC of .69. Half of the users are a noisier
#: judgement: with all of them, the same lists have an AUC that is .03 higher.
MAX_TOP20_SHARE, MAX_LIFT, MIN_AUC = 0.03, 0.085, 0.695
#: Weights of free text that are tried.
TEXT_GRID = [
    TextWeights(votes=votes, content=content, genre=genre)
    for votes in (0.0, 0.3, 0.6, 0.8, 1.0)
    for content in (0.5, 1.0)
    for genre in (0.0, 0.1, 0.3)
]


class Features(NamedTuple):
    """Queries and their similarity features, each (n_queries, n_movies)."""

    query_set: QuerySet
    features: dict[str, Array]


class Choosing(NamedTuple):
    """The choosing half of one file: the queries of each set, and rows that measure the bias."""

    catalogue: Catalogue
    sets: list[Features]
    bias: Features


def every_kth(rows: Sequence[int], limit: int) -> list[int]:
    """All rows, or every k-th so that at most `limit` remain."""
    return list(rows[:: max(1, -(-len(rows) // limit))])


def choosing_half(recommender: Trained) -> Choosing:
    """Queries that weights are chosen on, with their features."""
    catalogue = recommender.catalogue

    def features(query_set: QuerySet, rows: list[int]) -> Features:
        items = catalogue.items
        if query_set.candidates is not None:
            items = catalogue.features.rows(query_set.candidates).by_term()
        similarities = similarity_features(catalogue.features_of(rows), items, TUNED)
        return Features(query_set._replace(rows=rows), similarities)

    sets = [
        features(
            query_set,
            every_kth(query_set.rows, CHOOSING_QUERIES),
        )
        for query_set in recommender.query_sets["choosing"]
        if query_set.name != "colike_ndcg_at_10"
    ]
    choosing = [row for row, half in enumerate(recommender.halves) if half == "choosing"]
    bias_rows = every_kth(choosing, BIAS_QUERIES)
    bias = features(QuerySet("bias", [], lambda row, scores, hits: 0.0), bias_rows)
    return Choosing(catalogue, sets, bias)


def choosing_scores(half: Choosing, config: RankConfig) -> dict[str, float]:
    """Mean of each metric on the choosing half, and the popularity bias."""
    values: dict[str, float] = {}
    config = config.model_copy(update={"keywords": 0.0})  # they judge the lists
    for query_set, features in half.sets:
        scores = weighted_scores(features, config)
        rows = zip(query_set.rows, scores, strict=True)
        values[query_set.name] = float(
            query_values(
                np.array(
                    [
                        query_set.metric(row, s, half.catalogue.top_rows(s, [row], 10, 0.0))
                        if query_set.needs_list
                        else query_set.metric(row, s, [])
                        for row, s in rows
                    ]
                )
            ).mean()
        )
    lists = np.array(
        [
            half.catalogue.top_rows(scores, [row], 10, 0.0)
            for row, scores in zip(
                half.bias.query_set.rows, weighted_scores(half.bias.features, config), strict=True
            )
        ]
    )
    return values | popularity_metrics(lists, half.bias.query_set.rows, half.catalogue)


def objective(halves: Sequence[Choosing], config: RankConfig) -> float:
    """Keyword nDCG plus franchise recall, minus a penalty for each broken limit.

    The AUC is limited on the first file: a small catalogue has too few movies of about equal votes.
    """
    files = [choosing_scores(half, config) for half in halves]
    relevance = _mean(files, "keyword_ndcg_at_10") + _mean(files, "franchise_recall_at_10")
    excess = [max(0.0, scores["top20_share"] - MAX_TOP20_SHARE) for scores in files]
    excess += [max(0.0, scores["popularity_lift"] - MAX_LIFT) for scores in files]
    shortfall = max(0.0, MIN_AUC - files[0]["colike_matched_auc"])
    return relevance - 3 * (sum(excess) + shortfall)


def _mean(files: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([scores[name] for scores in files if name in scores] or [0.0]))


def random_walk(halves: Sequence[Choosing], start: RankConfig, seed: int = 0) -> RankConfig:
    """Weights after a random walk that only goes uphill."""
    rng, config, best = np.random.default_rng(seed), start, objective(halves, start)
    print(f"start: {best:.4f}", flush=True)
    for _ in range(STEPS):
        factors = np.exp(rng.normal(0, 0.3, len(TUNED)) * (rng.random(len(TUNED)) < 0.4))
        changed = {
            name: min(10.0, getattr(config, name) * factor)
            for name, factor in zip(TUNED, factors, strict=True)
        }
        step = config.model_copy(update=changed)
        if (reached := objective(halves, step)) > best:
            config, best = step, reached
            print(f"{best:.4f} {shown_weights(config)}", flush=True)
    return config


def shown_weights(config: RankConfig) -> str:
    """The tuned weights as text."""
    return ", ".join(f"{name} {getattr(config, name):.2f}" for name in TUNED)


def choose_text_weights(recommenders: Sequence[Trained]) -> str:
    """Weights of free text with the best recall on the choosing half of the known items."""
    best = ("", -1.0)
    for weights in TEXT_GRID:
        config = RankConfig(text=weights)
        with_questions = [item for item in recommenders if item.known_items["choosing"]]
        recall = float(np.mean([_choosing_recall(item, config) for item in with_questions]))
        print(f"text: {weights}: {recall:.3f}", flush=True)
        if recall > best[1]:
            best = (str(weights), recall)
    return best[0]


def _choosing_recall(recommender: Trained, config: RankConfig) -> float:
    scorers = Scorers(recommender.catalogue, config)
    items = recommender.known_items["choosing"]
    return float(score_known_items(scorers, items, recommender.model, 0.0)[RECOMMENDER].mean())
