"""Rows of the index -> how good its lists are, beside the lists of simple methods.

Queries are all movies that have relevant ones, halved by a hash of their id: weights are chosen on
one half (`benchmarks/ranking.py`), scores reported on the other. Every movie is a candidate.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.core.compute import Compute, run_in_fresh_process
from tasks.core.contracts import RatingsRef, RowsRef, ScoresRef
from tasks.core.storage import store
from tasks.data.sources import require_same_ratings
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    BLOCK,
    K,
    Scorer,
    baseline_scorers,
    ranked_lists,
    recommender_scorer,
)
from tasks.recommend.evaluation.ranking_metrics import (
    Lists,
    coverage,
    genre_precision,
    intra_list_diversity,
    mean_with_interval,
    ndcg_at,
    recall_at,
)
from tasks.recommend.evaluation.relevance import Relevant, co_liked, franchises, read_likes
from tasks.recommend.scoring import FEATURES, Array, RankConfig
from tasks.recommend.search import title_with_year

VERSION = 5
DEPTHS = (1, 2, 5, 10, 20, 50)  # lengths of list at which recall is measured
ASKING = 5000  # movies, at most, whose lists say how much of the catalogue is ever shown
CURVE_ASKING = 400  # and for each weight of the curve
CURVE = (0.0, 0.3, 0.6, 0.9, 1.2, 1.8)  # weights of votes on the accuracy-coverage curve
#: Well-known films whose lists a person can judge, where the catalogue has them.
KNOWN_FILMS = (
    "Toy Story",
    "The Godfather",
    "Alien",
    "The Dark Knight",
    "Pulp Fiction",
    "Titanic",
    "The Matrix",
    "Jurassic Park",
    "The Lord of the Rings: The Fellowship of the Ring",
    "Harry Potter and the Philosopher's Stone",
    "Star Wars",
    "Casablanca",
    "Psycho",
    "Finding Nemo",
    "Vertical Limit",
    "Notting Hill",
    "Gladiator",
    "The Shining",
    "Rocky",
    "Amélie",
)
#: What is read of the rows: all but the texts.
COMPARED = ["source", "id", "title", "year", "genres", "language", "collection", "votes"]
COMPARED += ["title_key", "overview_key", "content", "genre_vector"]
COMPARED += ["words", "words_weights", "title_words", "title_words_weights"]


class QuerySet(NamedTuple):
    """A kind of question: which movies ask it, and which answers are right."""

    name: str
    relevant: Relevant


def is_reported_query(source: str, movie: int) -> bool:
    """Whether a movie's query is in the half that scores are reported on."""
    return hashlib.sha256(f"{source}/{movie}".encode()).digest()[0] % 2 == 1


#: Lists of a kind's reported half, `DEPTHS[-1]` long, by whose they are.
Deep = dict[str, dict[str, Lists]]

RECALL = pa.schema(
    [("kind", pa.string()), ("method", pa.string()), ("k", pa.int64()), ("recall", pa.float64())]
)
Relevance = list[NDArray[np.int64]]
METRICS: dict[str, Callable[[Lists, Sequence[NDArray[np.int64]]], Array]] = {
    "franchise_recall_at_10": recall_at,
    "colike_ndcg_at_10": ndcg_at,
}


def coverage_queries(catalogue: Catalogue, most: int = ASKING) -> list[int]:
    """Movies whose lists show how much of the catalogue is reached: all, or an even sample."""
    step = max(1, -(-len(catalogue) // most))
    return list(range(0, len(catalogue), step))


def build_query_sets(rows: pa.Table, ratings: RatingsRef | None) -> list[QuerySet]:
    """The kinds of question that this catalogue can be asked; one without queries is left out."""
    kinds = [QuerySet("franchise_recall_at_10", franchises(rows["collection"].to_pylist()))]
    if ratings:
        own = zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True)
        by_id = {movie: row for row, (name, movie) in enumerate(own) if name == ratings.source}
        likes = read_likes(*ratings.files, by_id)
        require_same_ratings(ratings)
        kinds.append(QuerySet("colike_ndcg_at_10", co_liked(likes)))
    return [kind for kind in kinds if kind.relevant]


def split_queries(catalogue: Catalogue, queries: Sequence[int], wanted: bool) -> list[int]:
    """Those queries that are in the reported half, or in the other one."""
    sources, ids = (
        catalogue.movies[name].take(pa.array(queries, pa.int64())).to_pylist()
        for name in ("source", "id")
    )
    return [
        row
        for row, source, movie in zip(queries, sources, ids, strict=True)
        if is_reported_query(source, movie) == wanted
    ]


def reported_queries(catalogue: Catalogue, kind: QuerySet) -> tuple[list[int], Relevance]:
    """Queries of a kind that scores are reported on, and what is relevant to each."""
    rows = split_queries(catalogue, sorted(kind.relevant), wanted=True)
    return rows, [kind.relevant[row] for row in rows]


def per_query_scores(
    catalogue: Catalogue, kind: QuerySet, scorer: Scorer, diversity: float = 0.0
) -> Array:
    """Value of each list of a kind's reported half, queries in the order of their rows."""
    rows, relevant = reported_queries(catalogue, kind)
    return METRICS[kind.name](ranked_lists(catalogue, rows, scorer, diversity), relevant)


def lists_for_recall_curve(
    catalogue: Catalogue, kinds: Sequence[QuerySet], config: RankConfig
) -> Deep:
    """Long lists of the recommender (`ours`) and of the simple methods, for each kind."""
    found: Deep = {}
    for kind in kinds:
        rows, _ = reported_queries(catalogue, kind)
        own = ranked_lists(
            catalogue, rows, recommender_scorer(catalogue, config), config.diversity, DEPTHS[-1]
        )
        found[kind.name] = {"ours": own} | {
            name: ranked_lists(catalogue, rows, scorer, k=DEPTHS[-1])
            for name, scorer in baseline_scorers(catalogue.features, catalogue.items).items()
        }
    return found


def recall_by_k(catalogue: Catalogue, kinds: Sequence[QuerySet], deep: Deep) -> pa.Table:
    """Mean recall of `deep` lists cut at each of `DEPTHS`: columns kind, method, k, recall."""
    rows = []
    for kind in kinds:
        _, relevant = reported_queries(catalogue, kind)
        name = kind.name.split("_")[0]
        for method, lists in deep[kind.name].items():
            for k in DEPTHS if relevant else ():
                recall = float(recall_at(lists[:, :k], relevant).mean())
                rows.append({"kind": name, "method": method, "k": k, "recall": recall})
    return pa.Table.from_pylist(rows, RECALL)


def recommender_scores(
    catalogue: Catalogue, kinds: Sequence[QuerySet], config: RankConfig
) -> dict[str, Array]:
    """`query_values` of the recommender itself for each kind of question."""
    scorer = recommender_scorer(catalogue, config)
    return {
        kind.name: per_query_scores(catalogue, kind, scorer, config.diversity) for kind in kinds
    }


def list_scores(
    catalogue: Catalogue,
    kinds: Sequence[QuerySet],
    config: RankConfig,
    own: dict[str, Array],
    deep: Deep,
) -> dict[str, float]:
    """Everything that is said of the lists: relevance, baselines, genres, coverage, diversity.

    `own` are the recommender's `own_values`, `deep` its and the baselines' `deep_lists`.
    """
    found: dict[str, float] = {}
    scorer = recommender_scorer(catalogue, config)
    unpopular = recommender_scorer(catalogue, config.model_copy(update={"votes": 0.0}))
    for kind in kinds:
        found |= mean_with_interval(own[kind.name], f"rec_{kind.name}")
        without = per_query_scores(catalogue, kind, unpopular, config.diversity)
        found |= mean_with_interval(without, f"rec_without_votes_{kind.name}")
        _, relevant = reported_queries(catalogue, kind)
        for name, lists in deep[kind.name].items():
            if name == "ours":
                continue
            values = METRICS[kind.name](lists[:, :K], relevant)
            found |= mean_with_interval(values, f"rec_baseline_{name}_{kind.name}")
        found[f"rec_queries_{kind.name.split('_')[0]}"] = float(len(own[kind.name]))
    rows = coverage_queries(catalogue)
    lists = ranked_lists(catalogue, rows, scorer, config.diversity)
    found["rec_genre_precision_at_10"] = genre_precision(lists, rows, catalogue.features.genres)
    found["rec_coverage_at_10"] = coverage(lists, len(catalogue))
    found["rec_intra_list_diversity_at_10"] = intra_list_diversity(
        lists, catalogue.features.content
    )
    return found


def lists_by_votes(
    catalogue: Catalogue, queries: Sequence[int], config: RankConfig, weights: Sequence[float]
) -> list[Lists]:
    """Lists of the queries with each weight of votes; what does not depend on it is done once."""
    others = sum(getattr(config, name) for name in FEATURES) - config.votes
    scorer = recommender_scorer(catalogue, config.model_copy(update={"votes": 0.0}))
    listed = [np.full((len(queries), K), -1, np.int64) for _ in weights]
    for first in range(0, len(queries), BLOCK):
        block = queries[first : first + BLOCK]
        for at, (row, score) in enumerate(zip(block, others * scorer(block), strict=True)):
            for lists, weight in zip(listed, weights, strict=True):
                total = score + np.float32(weight) * catalogue.features.votes
                found = catalogue.top_rows(total, [row], K, config.diversity)
                lists[first + at, : len(found)] = found
    return listed


def votes_curve(
    catalogue: Catalogue, kinds: Sequence[QuerySet], config: RankConfig
) -> dict[str, list[float | None]]:
    """Columns `votes`, `coverage_at_10` of a sample of lists, and each kind's score."""
    weights = sorted({*CURVE, config.votes})
    sample = coverage_queries(catalogue, CURVE_ASKING)
    reach = [
        coverage(lists, len(catalogue))
        for lists in lists_by_votes(catalogue, sample, config, weights)
    ]
    table: dict[str, list[float | None]] = {"votes": [*weights], "coverage_at_10": [*reach]}
    for kind in kinds:
        rows = split_queries(catalogue, sorted(kind.relevant), wanted=True)
        relevant = [kind.relevant[row] for row in rows]
        lists = lists_by_votes(catalogue, rows, config, weights) if rows else []
        table[kind.name] = [float(METRICS[kind.name](of, relevant).mean()) for of in lists]
    return {name: column for name, column in table.items() if column}


def sample_lists(catalogue: Catalogue, config: RankConfig) -> pa.Table:
    """The lists of well-known films, a row a film; films that the catalogue lacks are left out."""
    names = catalogue.movies["title"].to_pylist()
    by_votes = np.argsort(catalogue.features.votes, kind="stable").tolist()
    titles = {names[row]: row for row in by_votes}  # of several, the one with most votes
    rows = [titles[title] for title in KNOWN_FILMS if title in titles]
    lists = ranked_lists(catalogue, rows, recommender_scorer(catalogue, config), config.diversity)
    return pa.table(
        {
            "film": pa.array([catalogue.movie(row)["title"] for row in rows], pa.string()),
            "movies like it": pa.array(
                [
                    "; ".join(title_with_year(catalogue.movie(hit)) for hit in listed if hit >= 0)
                    for listed in lists.tolist()
                ],
                pa.string(),
            ),
        }
    )


def _loaded(rows: RowsRef, ratings: RatingsRef | None) -> tuple[Catalogue, list[QuerySet]]:
    table = store.read(rows, COMPARED)
    catalogue = Catalogue(table)
    return catalogue, build_query_sets(table, ratings)


def _evaluate(
    rows: RowsRef, ratings: RatingsRef | None, config: RankConfig, writer: store.EntryWriter
) -> ScoresRef:
    catalogue, kinds = _loaded(rows, ratings)
    own = recommender_scores(catalogue, kinds, config)
    deep = lists_for_recall_curve(catalogue, kinds, config)
    found = list_scores(catalogue, kinds, config, own, deep)
    pq.write_table(recall_by_k(catalogue, kinds, deep), writer.folder / "recall_by_k.parquet")
    curve = pa.table(votes_curve(catalogue, kinds, config))
    store.write_json(writer.folder / "metrics.json", found)
    np.savez(writer.folder / "queries.npz", allow_pickle=False, **own)
    pq.write_table(curve, writer.folder / "votes_curve.parquet")
    pq.write_table(sample_lists(catalogue, config), writer.folder / "sample_lists.parquet")
    return writer.folder_ref(ScoresRef, len(catalogue))


@task(name="evaluate-lists", cache_policy=NO_CACHE)
def evaluate_lists(
    rows: RowsRef, ratings: RatingsRef | None, config: RankConfig, compute: Compute
) -> ScoresRef:
    """Measure the lists against franchises and, where ratings lie beside the source, viewers."""
    rated = [ratings.source, ratings.digest] if ratings else None
    key = [VERSION, config, rows.digest, rated]
    ref = store.get_or_create(
        "lists",
        key,
        ScoresRef,
        lambda writer: run_in_fresh_process(compute, _evaluate, rows, ratings, config, writer),
    )
    folder = store.locate(ref)
    found = store.read_json(folder / "metrics.json")
    main = {name: round(found[name], 3) for name in found if name.removeprefix("rec_") in METRICS}
    get_run_logger().info(
        "%s, coverage %.2f", main or "no query has relevant movies", found["rec_coverage_at_10"]
    )
    for key_, name in (("votes-curve", "votes_curve"), ("sample-lists", "sample_lists")):
        create_table_artifact(pq.read_table(folder / f"{name}.parquet").to_pylist(), key=key_)
    return ref
