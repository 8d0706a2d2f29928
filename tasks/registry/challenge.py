"""Champion and challenger, evaluated on the same movies -> whether the challenger is promoted.

The champion's models compute the index rows of the challenger's catalogue again, so that both
models rank the same movies for the same queries. The confidence intervals are those of paired
differences: a test movie or query that is difficult for both models adds no noise.
"""

from collections.abc import Sequence
from pathlib import Path
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
from tasks.core.contracts import DocumentsRef, KnownItemsRef, RatingsRef, ScoresRef
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.labels import binarize
from tasks.data.preprocess import assign_split
from tasks.genres.metrics import Labels, bootstrap_f1, macro_f1, micro_f1
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER, Scorers
from tasks.recommend.evaluation.list_evaluation import add_known_items
from tasks.recommend.evaluation.query_sets import build_query_sets, reported_sets
from tasks.recommend.evaluation.ranking_metrics import bootstrap_interval
from tasks.recommend.evaluation.relevance_scores import score_movies
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import Array
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedChampion

COMPARED = pa.schema(
    [("score", pa.string())]
    + [(name, pa.float64()) for name in ("champion", "challenger", "difference", "low", "high")]
)
#: What users read for the compared metrics.
METRIC_LABELS = {
    "test_f1_micro": "F1 micro",
    "test_f1_macro": "F1 macro",
    "rec_keyword_ndcg_at_10": "keyword nDCG@10",
    "rec_franchise_recall_at_10": "franchise recall@10",
    "rec_colike_matched_auc": "co-like AUC",
    "rec_known_item_recall_at_10": "known-item recall@10",
    "rec_colike_ndcg_at_10": "co-like nDCG@10",
}
#: Metrics that decide the promotion; the others are only reported.
GATED = (
    "test_f1_micro",
    "test_f1_macro",
    "rec_keyword_ndcg_at_10",
    "rec_franchise_recall_at_10",
)


class GateConfig(StrictConfig):
    """When a new version is promoted to champion."""

    tolerance: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest difference by which a gated metric (F1 micro, F1 macro, keyword "
        "nDCG@10, franchise recall@10) of a new version may be below the champion's on the same "
        "test movies and queries; with a larger one the new version is not promoted",
    )


class Comparison(BaseModel, frozen=True):
    """One metric of champion and challenger on the same movies.

    `difference` is challenger minus champion; `low` and `high` bound its 95% confidence interval.
    """

    score: str
    champion: float
    challenger: float
    difference: float
    low: float
    high: float

    @property
    def label(self) -> str:
        """The metric's name for users."""
        return METRIC_LABELS.get(self.score, self.score)


class PromotionDecision(BaseModel, frozen=True):
    """Whether the challenger is promoted to champion, and the reason in plain words.

    `champion_is_damaged`: there is a champion, but it is damaged and was not compared.
    """

    promote: bool
    why: str
    comparisons: tuple[Comparison, ...] = ()
    champion_is_damaged: bool = False


class PairedPredictions(NamedTuple):
    """True genres and the predictions of both models for the same movies.

    Each is an indicator matrix (n_movies, n_genres).
    """

    y_true: Labels
    champion: Labels
    challenger: Labels


def paired_comparison(
    metric: str, champion: float, challenger: float, differences: NDArray[np.floating[Any]]
) -> Comparison:
    """Comparison of a metric from bootstrap samples of the difference, (n_samples,)."""
    low, high = np.quantile(differences, [0.025, 0.975])
    return Comparison(
        score=metric,
        champion=champion,
        challenger=challenger,
        difference=challenger - champion,
        low=float(low),
        high=float(high),
    )


def compare_genres(predictions: PairedPredictions) -> list[Comparison]:
    """Micro and macro F1 of both models on the same test movies."""
    y_true, champion, challenger = predictions
    champion_samples = bootstrap_f1(y_true, champion)
    challenger_samples = bootstrap_f1(y_true, challenger)
    return [
        paired_comparison(
            metric=f"test_f1_{average}",
            champion=f1(y_true, champion),
            challenger=f1(y_true, challenger),
            differences=challenger_samples[average] - champion_samples[average],
        )
        for average, f1 in (("micro", micro_f1), ("macro", macro_f1))
    ]


def compare_lists(metric: str, champion: Array, challenger: Array) -> Comparison:
    """Mean of a ranking metric over the same queries; both arrays are (n_queries,)."""
    low, high = bootstrap_interval(challenger - champion)
    champion_mean, challenger_mean = float(champion.mean()), float(challenger.mean())
    return Comparison(
        score=f"rec_{metric}",
        champion=champion_mean,
        challenger=challenger_mean,
        difference=challenger_mean - champion_mean,
        low=low,
        high=high,
    )


def promotion_decision(
    comparisons: Sequence[Comparison], tolerance: float, same_source: bool
) -> PromotionDecision:
    """Reject a challenger with a worse metric, or of the same source without a better one.

    Worse: below the champion's by more than `tolerance`. Better: the confidence interval of the
    difference is above 0. Only metrics in `GATED` count. `same_source`: both models were trained on
    the same data.
    """
    gated = [row for row in comparisons if row.score in GATED]
    promote, why = _outcome(gated, tolerance, same_source)
    return PromotionDecision(promote=promote, why=why, comparisons=tuple(comparisons))


def _outcome(
    comparisons: Sequence[Comparison], tolerance: float, same_source: bool
) -> tuple[bool, str]:
    worse = [
        f"{row.label} is {-row.difference:.3f} lower"
        for row in comparisons
        if row.difference < -tolerance
    ]
    if worse:
        return False, f"{' and '.join(worse)} than the champion's (tolerance {tolerance:g})"
    better = [f"{row.label} is {row.difference:.3f} higher" for row in comparisons if row.low > 0]
    if better:
        return True, f"{' and '.join(better)} than the champion's (significant at 95%)"
    if same_source:
        return False, "no metric is significantly better than the champion's on the same source"
    return True, "no metric is worse than the champion's, and the source is new"


def decision_without_champion(champion: CheckedChampion) -> PromotionDecision:
    """The decision if there is no champion, or only a damaged one."""
    if not champion.version:
        return PromotionDecision(promote=True, why="no earlier champion")
    why = f"the champion (version {champion.version}) cannot be compared: {champion.damage}"
    return PromotionDecision(promote=True, why=why, champion_is_damaged=True)


def shared_test_movies(documents: pa.Table, champion: TextModel) -> pa.Table:
    """Test movies of the challenger that the champion did not train on either."""
    shares = {name: getattr(champion.text, name) for name in ("validation_share", "test_share")}
    overviews = documents["overview"].to_pylist()
    champion_split = pa.array([assign_split(overview, **shares) for overview in overviews])
    in_both_test_sets = pc.and_(
        pc.equal(documents["split"], "test"), pc.equal(champion_split, "test")
    )
    return documents.filter(in_both_test_sets)


def predict_both(movies: pa.Table, champion: TextModel, challenger: TextModel) -> PairedPredictions:
    """Predictions of both models for movies with at least one genre that one of them predicts."""
    classes = sorted({*champion.classes, *challenger.classes})
    y_true = binarize(movies["genres"].to_pylist(), classes)
    labelled = y_true.any(axis=1)
    return PairedPredictions(
        y_true=y_true[labelled],
        champion=_predicted_labels(champion, movies, classes)[labelled],
        challenger=_predicted_labels(challenger, movies, classes)[labelled],
    )


def _predicted_labels(model: TextModel, movies: pa.Table, classes: Sequence[str]) -> Labels:
    texts = (movies[name].to_pylist() for name in ("title", "overview", "keywords"))
    return binarize([prediction.genres for prediction in model.predict_genres(*texts)], classes)


def join_lists(challenger: pa.Table, champion: pa.Table) -> pa.Table:
    """Sample lists of both models by film; null where the champion's catalogue lacks the film."""
    champion_lists = dict(zip(*(column.to_pylist() for column in champion.columns), strict=True))
    films = challenger["film"].to_pylist()
    return pa.table(
        {
            "film": films,
            "challenger": challenger["movies like it"].to_pylist(),
            "champion": [champion_lists.get(film) for film in films],
        }
    )


def _compare_recommendations(
    documents: DocumentsRef,
    champion: Champion,
    model: TextModel,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    lists: ScoresRef,
    writer: store.EntryWriter,
) -> list[Comparison]:
    """Evaluate the champion's lists, write sample lists of both, compare the ranking metrics.

    A champion with keywords as a feature is not compared by keywords.
    """
    rows = pa.concat_tables([model.to_index_rows(chunk) for chunk in store.chunks(documents)])
    catalogue = Catalogue(rows)
    query_sets = build_query_sets(rows, ratings, model.text.keywords)
    del rows  # the catalogue has what is needed of them
    scorers = Scorers(catalogue, champion.rank)
    query_scores, _ = score_movies(
        scorers, reported_sets(catalogue, query_sets), [], champion.rank.diversity
    )
    add_known_items(query_scores, scorers, model, known_items, champion.rank.diversity)
    folder = store.locate(lists)
    challenger_lists = pq.read_table(folder / "sample_lists.parquet")
    sample = join_lists(challenger_lists, sample_lists(catalogue, champion.rank))
    pq.write_table(sample, writer.folder / "lists_beside.parquet")
    champion_scores = query_scores[RECOMMENDER]
    with np.load(folder / "queries.npz", allow_pickle=False) as challenger_scores:
        return [
            compare_lists(metric, champion_scores[metric], scores)
            for metric, scores in challenger_scores.items()
            if metric in champion_scores
        ]


def _challenge(
    writer: store.EntryWriter,
    documents: DocumentsRef,
    challenger: ModelFolders,
    lists: ScoresRef,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    champion: Champion,
    folders: ModelFolders,
) -> ScoresRef:
    champion_model = TextModel(folders)
    columns = ["title", "overview", "genres", "keywords", "split"]
    movies = shared_test_movies(store.read(documents, columns), champion_model)
    predictions = predict_both(movies, champion_model, TextModel(challenger))
    comparisons = compare_genres(predictions) if len(predictions.y_true) else []
    comparisons += _compare_recommendations(
        documents=documents,
        champion=champion,
        model=champion_model,
        ratings=ratings,
        known_items=known_items,
        lists=lists,
        writer=writer,
    )
    _write_comparisons(comparisons, writer.folder)
    return writer.folder_ref(ScoresRef, len(predictions.y_true))


def _write_comparisons(comparisons: Sequence[Comparison], folder: Path) -> None:
    table = pa.Table.from_pylist([row.model_dump() for row in comparisons], schema=COMPARED)
    pq.write_table(table, folder / "gate.parquet")
    metrics = {f"champion_{row.score}": row.champion for row in comparisons}
    metrics |= {f"gate_{row.score}_difference": row.difference for row in comparisons}
    store.write_json(folder / "metrics.json", metrics)


@task(name="challenge", cache_policy=NO_CACHE)
def challenge(
    documents: DocumentsRef,
    challenger: ModelFolders,
    lists: ScoresRef,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    champion: Champion,
    folders: ModelFolders,
    compute: Compute,
) -> ScoresRef:
    """Evaluate the champion on the challenger's test movies and queries, and compare the metrics.

    `folders` are the champion's model folders, `lists` the evaluation of the challenger's lists.
    """

    def write(writer: store.EntryWriter) -> ScoresRef:
        return run_in_fresh_process(
            compute,
            _challenge,
            writer,  # positional: a worker on another machine looks for it there
            documents=documents,
            challenger=challenger,
            lists=lists,
            ratings=ratings,
            known_items=known_items,
            champion=champion,
            folders=folders,
        )

    references = [reference.digest if reference else None for reference in (ratings, known_items)]
    key = [documents.digest, lists.digest, references, challenger, champion, folders]
    ref = store.get_or_create("challenge", key, ScoresRef, write)
    rows = pq.read_table(store.locate(ref) / "lists_beside.parquet").to_pylist()
    description = "Lists of the challenger and the champion for well-known films"
    create_table_artifact(rows, key="sample-lists", description=description)
    return ref


@task(name="decide-promotion", cache_policy=NO_CACHE)
def decide_promotion(
    compared: ScoresRef, config: GateConfig, same_source: bool
) -> PromotionDecision:
    """Whether the challenger is promoted, from the stored comparison of `challenge`."""
    rows = pq.read_table(store.locate(compared) / "gate.parquet").to_pylist()
    comparisons = [Comparison.model_validate(row) for row in rows]
    decision = promotion_decision(comparisons, config.tolerance, same_source)
    outcome = "promoted" if decision.promote else "not promoted"
    get_run_logger().info("%s: %s", outcome, decision.why)
    description = f"{outcome.capitalize()}: {decision.why}"
    create_table_artifact(rows, key="promotion-gate", description=description)
    return decision
