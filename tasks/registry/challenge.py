"""Champion and challenger on the same movies -> which of them should answer.

The champion's models describe the challenger's catalogue anew, so that both are asked the same
questions about the same movies. Differences are paired: a test movie or query that is hard for
both does not count as noise.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from tasks.core.compute import Compute, run_in_fresh_process
from tasks.core.contracts import DocumentsRef, RatingsRef, ScoresRef
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.labels import binarize
from tasks.data.preprocess import assign_split
from tasks.genres.metrics import Labels, bootstrap_f1, macro_f1, micro_f1
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.query_sets import build_query_sets
from tasks.recommend.evaluation.ranking_metrics import bootstrap_interval
from tasks.recommend.evaluation.relevance_scores import recommender_scores
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import Array
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedChampion

VERSION = 2
COMPARED = pa.schema(
    [("score", pa.string())]
    + [(name, pa.float64()) for name in ("champion", "challenger", "difference", "low", "high")]
)


class GateConfig(StrictConfig):
    """When a challenger becomes the champion."""

    tolerance: float = Field(
        0.01,
        ge=0,
        le=1,
        description="How far a headline score (F1 micro and macro, franchise recall, co-like nDCG) "
        "may lie below the champion's on the same movies",
    )


class Comparison(BaseModel, frozen=True):
    """A headline score of both on the same movies; `low` and `high` bound the difference (95%)."""

    score: str
    champion: float
    challenger: float
    difference: float
    low: float
    high: float


class PromotionDecision(BaseModel, frozen=True):
    """Whether the challenger becomes champion, and why in a sentence.

    `passed_over` says that there is a champion which is damaged.
    """

    promote: bool
    why: str
    compared: tuple[Comparison, ...] = ()
    passed_over: bool = False


class PairedPredictions(NamedTuple):
    """Test movies with what both models say of them, (n_movies, n_genres) each."""

    labels: Labels
    champion: Labels
    challenger: Labels


def paired_comparison(
    name: str, champion: float, challenger: float, draws: NDArray[np.floating[Any]]
) -> Comparison:
    """A comparison from two scores and bootstrap draws of their difference."""
    low, high = np.quantile(draws, [0.025, 0.975])
    values = {"champion": champion, "challenger": challenger, "low": float(low)}
    return Comparison(score=name, difference=challenger - champion, high=float(high), **values)


def compare_genres(tested: PairedPredictions) -> list[Comparison]:
    """Micro and macro F1 of both on the same test movies."""
    one, other = (
        bootstrap_f1(tested.labels, guess) for guess in (tested.champion, tested.challenger)
    )
    return [
        paired_comparison(
            f"test_f1_{name}",
            score(tested.labels, tested.champion),
            score(tested.labels, tested.challenger),
            other[name] - one[name],
        )
        for name, score in (("micro", micro_f1), ("macro", macro_f1))
    ]


def compare_lists(name: str, champion: Array, challenger: Array) -> Comparison:
    """Mean value of both over the same queries."""
    low, high = bootstrap_interval(challenger - champion)
    means = {"champion": float(champion.mean()), "challenger": float(challenger.mean())}
    difference = means["challenger"] - means["champion"]
    return Comparison(score=f"rec_{name}", difference=difference, low=low, high=high, **means)


def promotion_decision(
    found: Sequence[Comparison], tolerance: float, same_source: bool
) -> PromotionDecision:
    """Keep the champion where a score is worse, or where the same movies taught nothing new."""
    worse = [one for one in found if one.difference < -tolerance]
    if worse:
        return PromotionDecision(
            promote=False, why=f"worse than the champion: {_said(worse)}", compared=found
        )
    better = [one for one in found if one.low > 0]
    if better:
        return PromotionDecision(promote=True, why=f"better: {_said(better)}", compared=found)
    if same_source:
        why = "no better than the champion beyond chance, and learnt from the same source"
        return PromotionDecision(promote=False, why=why, compared=found)
    return PromotionDecision(
        promote=True, why="no worse, and it knows the new source", compared=found
    )


def _said(found: Sequence[Comparison]) -> str:
    return ", ".join(f"{one.score} {one.challenger:.3f}, not {one.champion:.3f}" for one in found)


def decision_without_champion(champion: CheckedChampion) -> PromotionDecision:
    """The verdict where there is no champion that can be compared with."""
    if not champion.version:
        return PromotionDecision(promote=True, why="the first to answer")
    why = f"version {champion.version} was passed over: {champion.damage}"
    return PromotionDecision(promote=True, why=why, passed_over=True)


def shared_test_movies(documents: pa.Table, champion: TextModel) -> pa.Table:
    """The test movies that were test movies for the champion too."""
    shares = {name: getattr(champion.text, name) for name in ("validation_share", "test_share")}
    own = [assign_split(overview, **shares) for overview in documents["overview"].to_pylist()]
    both = pc.and_(pc.equal(documents["split"], "test"), pc.equal(pa.array(own), "test"))
    return documents.filter(both)


def predict_both(movies: pa.Table, champion: TextModel, challenger: TextModel) -> PairedPredictions:
    """What both say of movies that carry a genre that one of them has learnt."""
    classes = sorted({*champion.classes, *challenger.classes})
    labels = binarize(movies["genres"].to_pylist(), classes)
    texts = [movies[name].to_pylist() for name in ("title", "overview", "keywords")]
    said = (
        binarize([answer.genres for answer in model.predict_genres(*texts)], classes)
        for model in (champion, challenger)
    )
    kept = labels.any(axis=1)
    return PairedPredictions(labels[kept], *(guess[kept] for guess in said))


def join_lists(own: pa.Table, other: pa.Table) -> pa.Table:
    """Sample lists of the challenger with those of the champion for the same films."""
    by_film = dict(zip(*(column.to_pylist() for column in other.columns), strict=True))
    films = own["film"].to_pylist()
    columns = {"film": films, "challenger": own["movies like it"].to_pylist()}
    return pa.table(columns | {"champion": [by_film.get(film) for film in films]})


def _lists(
    documents: DocumentsRef,
    champion: Champion,
    model: TextModel,
    ratings: RatingsRef | None,
    lists: ScoresRef,
    writer: store.EntryWriter,
) -> list[Comparison]:
    rows = pa.concat_tables([model.to_index_rows(chunk) for chunk in store.chunks(documents)])
    catalogue, kinds = Catalogue(rows), build_query_sets(rows, ratings)
    del rows
    theirs = recommender_scores(catalogue, kinds, champion.rank)
    folder = store.locate(lists)
    own = pq.read_table(folder / "sample_lists.parquet")
    both = join_lists(own, sample_lists(catalogue, champion.rank))
    pq.write_table(both, writer.folder / "lists_beside.parquet")
    with np.load(folder / "queries.npz", allow_pickle=False) as ours:
        return [compare_lists(name, theirs[name], ours[name]) for name in ours if len(ours[name])]


def _challenge(
    documents: DocumentsRef,
    challenger: ModelFolders,
    lists: ScoresRef,
    ratings: RatingsRef | None,
    champion: Champion,
    folders: ModelFolders,
    writer: store.EntryWriter,
) -> ScoresRef:
    model = TextModel(folders)
    columns = ["title", "overview", "genres", "keywords", "split"]
    movies = shared_test_movies(store.read(documents, columns), model)
    both = predict_both(movies, model, TextModel(challenger))
    found = compare_genres(both) if len(both.labels) else []
    found += _lists(documents, champion, model, ratings, lists, writer)
    table = pa.Table.from_pylist([one.model_dump() for one in found], schema=COMPARED)
    pq.write_table(table, writer.folder / "gate.parquet")
    metrics = {f"champion_{one.score}": one.champion for one in found}
    metrics |= {f"gate_{one.score}_difference": one.difference for one in found}
    store.write_json(writer.folder / "metrics.json", metrics)
    return writer.folder_ref(ScoresRef, len(both.labels))


@task(name="challenge", cache_policy=NO_CACHE)
def challenge(
    documents: DocumentsRef,
    challenger: ModelFolders,
    lists: ScoresRef,
    ratings: RatingsRef | None,
    champion: Champion,
    folders: ModelFolders,
    compute: Compute,
) -> ScoresRef:
    """Score the champion on the challenger's test movies and queries; lay their lists together."""
    given = (documents, challenger, lists, ratings, champion, folders)
    key = [VERSION, documents.digest, lists.digest, challenger, champion, folders]
    ref = store.get_or_create(
        "challenge",
        key,
        ScoresRef,
        lambda writer: run_in_fresh_process(compute, _challenge, *given, writer),
    )
    rows = pq.read_table(store.locate(ref) / "lists_beside.parquet").to_pylist()
    create_table_artifact(rows, key="sample-lists", description="Challenger beside champion")
    return ref


@task(name="judge", cache_policy=NO_CACHE)
def decide_promotion(found: ScoresRef, config: GateConfig, same_source: bool) -> PromotionDecision:
    """Whether the challenger becomes champion."""
    table = pq.read_table(store.locate(found) / "gate.parquet")
    rows = [Comparison.model_validate(row) for row in table.to_pylist()]
    answer = promotion_decision(rows, config.tolerance, same_source)
    get_run_logger().info("%s: %s", "promoted" if answer.promote else "not promoted", answer.why)
    description = f"{'Promoted' if answer.promote else 'Not promoted'}: {answer.why}"
    create_table_artifact(table.to_pylist(), key="promotion-gate", description=description)
    return answer
