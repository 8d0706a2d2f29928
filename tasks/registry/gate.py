"""Comparisons of champion and challenger -> promoted, rejected, or left to a person.

One metric of genres and one of lists decide. A challenger is promoted if one of them is
significantly better (Holm over the two; the candidates since the last promotion share one error
probability), or if its source is new, and if no 95% interval includes a loss above the tolerance:
against the champion, and against the best version that was ever kept. It is rejected if such a
loss is significant, or if it is no better on the same source; what lies between waits for a person.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from scipy.special import ndtr

from tasks.core.contracts import ScoresRef
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.registry.champion_check import CheckedChampion

#: Probability that a candidate is promoted by chance, over all candidates since the last promotion.
ERROR_PROBABILITY = 0.05
GENRE_METRIC = "f1_micro"
LIST_METRICS = RELEVANCE_METRICS[:-1]  # the first that both models have decides
#: What users read for the compared metrics.
METRIC_LABELS = {
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "keyword_ndcg_at_10": "keyword nDCG@10",
    "franchise_recall_at_10": "franchise recall@10",
    "colike_matched_auc": "co-like AUC",
    "known_item_recall_at_10": "known-item recall@10",
    "colike_ndcg_at_10": "co-like nDCG@10",
}
Outcome = Literal["promoted", "rejected", "borderline"]
#: Tags of the run of a candidate; `compared_with` and `gate` are also tags of its version.
COMPARED_WITH, OUTCOME, TOLERANCE = "compared_with", "gate", "gate_tolerance"
FINGERPRINT, VERSION = "fingerprint", "version"


class GateConfig(StrictConfig):
    """When a new version is promoted to champion."""

    tolerance: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Loss of F1 micro, and of the first list metric, that the 95% interval of a "
        "promoted version has to exclude, against the champion and the best version ever kept",
    )


class Comparison(BaseModel, frozen=True):
    """One metric of champion and challenger on the same movies or queries of the gate.

    `difference` is challenger minus champion; `low` and `high` bound its 95% confidence interval,
    `error` is its standard error.
    """

    score: str
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    error: float

    @property
    def label(self) -> str:
        """The metric's name for users."""
        return METRIC_LABELS.get(self.score, self.score)

    @property
    def p_value(self) -> float:
        """Probability of this difference or a greater one if the challenger is not better."""
        if not self.error:
            return 0.0 if self.difference > 0 else 1.0
        return float(ndtr(-self.difference / self.error))


class GateRecord(BaseModel, frozen=True):
    """What the gate knows of the champion: earlier candidates, and how far it is below the best.

    `candidates` were compared with the champion's training before. `below_best` has the measured
    loss of the champion against the best version that was ever kept, by metric.
    """

    candidates: int = 0
    below_best: Mapping[str, float] = {}


class PromotionDecision(BaseModel, frozen=True):
    """Whether the challenger is promoted to champion, and the reason in plain words.

    `compared_with` is the run that trained the champion, `below_best` the loss of the challenger
    against the best version ever kept, `tolerance` that of the gate. `champion_is_damaged`: there
    is a champion, but it is damaged and was not compared.
    """

    outcome: Outcome
    why: str
    comparisons: tuple[Comparison, ...] = ()
    compared_with: str = ""
    below_best: Mapping[str, float] = {}
    tolerance: float = 0.0
    champion_is_damaged: bool = False

    @property
    def promote(self) -> bool:
        """Whether the challenger becomes the champion."""
        return self.outcome == "promoted"


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
        error=float(differences.std()),
    )


def deciding(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons that decide: F1 micro, and the first list metric that there is."""
    by_name = {row.score: row for row in comparisons}
    lists = [name for name in LIST_METRICS if name in by_name]
    return [by_name[name] for name in [GENRE_METRIC, *lists[:1]] if name in by_name]


def candidate_level(candidates: int) -> float:
    """Significance level of a candidate after so many others; the levels of all sum to .05."""
    number = candidates + 1
    return ERROR_PROBABILITY / (number * (number + 1))


def significantly_better(comparisons: Sequence[Comparison], level: float) -> list[Comparison]:
    """Metrics that are better at a family-wise level (Holm, 1979)."""
    better = list[Comparison]()
    ordered = sorted(comparisons, key=lambda row: row.p_value)
    for rank, row in enumerate(ordered):
        if row.p_value > level / (len(ordered) - rank):
            break
        better.append(row)
    return better


def promotion_decision(
    comparisons: Sequence[Comparison],
    tolerance: float,
    same_source: bool,
    record: GateRecord | None = None,
) -> PromotionDecision:
    """Decide about a challenger. `same_source`: both models were trained on the same data.

    Metrics other than `deciding` are only reported.
    """
    record = record or GateRecord()
    rows = deciding(comparisons)
    outcome, why = _outcome(rows, tolerance, same_source, record)
    below = {row.score: max(0.0, _loss(row, record)) for row in rows}
    return PromotionDecision(
        outcome=outcome,
        why=why,
        comparisons=tuple(comparisons),
        below_best={**record.below_best, **below},
        tolerance=tolerance,
    )


def _outcome(
    rows: Sequence[Comparison], tolerance: float, same_source: bool, record: GateRecord
) -> tuple[Outcome, str]:
    if not rows:
        return "borderline", "the champion and it share no movies and queries to be compared on"
    unsure = [row for row in rows if _largest_loss(row, record) > tolerance]
    if worse := [row for row in unsure if _smallest_loss(row, record) > 0]:
        lost = " and ".join(f"{row.label} is {_loss(row, record):.3f} lower" for row in worse)
        return "rejected", f"{lost} than {_reference(worse, record)} (significant at 95%)"
    better = significantly_better(rows, candidate_level(record.candidates))
    if same_source and not better:
        why = "no deciding metric is significantly better than the champion's on the same source"
        return "rejected", f"{why} ({_candidate(record)})"
    if unsure:
        losses = [f"{row.label} may be {_largest_loss(row, record):.3f} lower" for row in unsure]
        why = f"{' and '.join(losses)} than {_reference(unsure, record)}"
        return "borderline", f"{why} (95% interval; tolerance {tolerance:g})"
    if better:
        gains = " and ".join(f"{row.label} is {row.difference:.3f} higher" for row in better)
        return "promoted", f"{gains} than the champion's (significant, {_candidate(record)})"
    why = f"the source is new, and no deciding metric loses more than {tolerance:g} (95% interval)"
    return "promoted", why


def _loss(row: Comparison, record: GateRecord) -> float:
    """Measured loss against the best version ever kept."""
    return record.below_best.get(row.score, 0.0) - row.difference


def _largest_loss(row: Comparison, record: GateRecord) -> float:
    """Upper end of the 95% interval of the loss against the best version ever kept."""
    return record.below_best.get(row.score, 0.0) - row.low


def _smallest_loss(row: Comparison, record: GateRecord) -> float:
    """Lower end of the 95% interval of the loss against the best version ever kept."""
    return record.below_best.get(row.score, 0.0) - row.high


def _reference(rows: Sequence[Comparison], record: GateRecord) -> str:
    """Whose metrics these are below: the champion's, or those of a better version before it."""
    below = any(record.below_best.get(row.score) for row in rows)
    return "those of the best version kept" if below else "the champion's"


def _candidate(record: GateRecord) -> str:
    return f"candidate {record.candidates + 1} since the last promotion"


def decision_without_champion(champion: CheckedChampion) -> PromotionDecision:
    """The decision if there is no champion, or only a damaged one."""
    if not champion.version:
        return PromotionDecision(outcome="promoted", why="no earlier champion")
    why = f"the champion (version {champion.version}) cannot be compared: {champion.damage}"
    return PromotionDecision(outcome="promoted", why=why, champion_is_damaged=True)


@task(name="decide-promotion", cache_policy=NO_CACHE)
def decide_promotion(
    compared: ScoresRef,
    config: GateConfig,
    same_source: bool,
    record: GateRecord,
    compared_with: str,
    dropped: int,
) -> PromotionDecision:
    """Decide about the challenger, from the stored comparison of `challenge`.

    `compared_with` is the run that trained the champion, `record` what the gate knows of it,
    `dropped` the number of refreshed movies that a promotion loses.
    """
    rows = pq.read_table(store.locate(compared) / "gate.parquet").to_pylist()
    comparisons = [Comparison.model_validate(row) for row in rows]
    decision = promotion_decision(comparisons, config.tolerance, same_source, record)
    if dropped:
        why = f"{decision.why}; {dropped} movies that refreshes added are not in its sources"
        decision = decision.model_copy(update={"why": why})
    get_run_logger().info("%s: %s", decision.outcome, decision.why)
    description = f"{decision.outcome.capitalize()}: {decision.why}"
    create_table_artifact(rows, key="promotion-gate", description=description)
    return decision.model_copy(update={"compared_with": compared_with})
