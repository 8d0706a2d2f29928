"""Comparisons of champion and challenger -> promoted, rejected, or left to a person.

One metric of genres and one of lists decide. A challenger is promoted if one of them is
significantly better (Holm over the two), or if its source is new, and if no interval includes a
loss above the tolerance: against the champion, and against the best version that was ever kept. The
candidates since the last promotion share one error probability, so that the interval of the first
is one of 95%, and that of each later one is wider. A challenger is rejected if such a loss is
significant, or if it is no better on the same source; what lies between waits for a person.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger
from pydantic import BaseModel, Field
from scipy.special import ndtr, ndtri

from tasks.core.contracts import ScoresRef
from tasks.core.orchestration.artifact_tables import show_table
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion

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
NO_CHAMPION = "no earlier champion"  # why the first version is promoted
CHAMPION_BEFORE = "champion_before"  # tag of a version: the champion when it was registered
FINGERPRINT, VERSION = "fingerprint", "version"


class GateConfig(StrictConfig):
    """When a new version is promoted to champion."""

    tolerance: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Loss of F1 micro, and of the first list metric, that the interval of a "
        "promoted version has to exclude, against the champion and the best version ever kept",
    )


class Comparison(BaseModel, frozen=True):
    """One metric of challenger and champion, or an earlier version, on the same movies or queries.

    `opponent` is the number of the other version; `is_best`: it is the best ever kept, and no
    longer the champion. `difference` is challenger minus champion, or the other; `low` and `high`
    bound its 95% confidence interval, `error` is its standard error. `observations` counts
    independent ones: films, or franchises and other queries.
    """

    score: str
    opponent: str
    is_best: bool
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    error: float
    observations: int

    @property
    def label(self) -> str:
        """The metric's name for users."""
        return METRIC_LABELS.get(self.score, self.score)

    @property
    def whose(self) -> str:
        """Whose metric that of the challenger is compared with."""
        return f"version {self.opponent}'s, the best kept" if self.is_best else "the champion's"

    @property
    def p_value(self) -> float:
        """Probability of this difference or a greater one if the challenger is not better."""
        if not self.error:
            return 0.0 if self.difference > 0 else 1.0
        return float(ndtr(-self.difference / self.error))

    def largest_loss(self, level: float) -> float:
        """Upper bound of the loss, which the true loss exceeds with probability `level`.

        At .025 it is the end of the 95% interval.
        """
        width = (self.difference - self.low) * float(ndtri(level) / ndtri(0.025))
        return max(width, unseen_share(level, self.observations)) - self.difference


def unseen_share(level: float, observations: int) -> float:
    """Largest share of all movies that a sample has none of with probability `level`.

    At .05 it is about 3 / observations, the rule of three (Hanley and Lippman-Hand, 1983).
    """
    return -math.log(level) / observations


class PromotionDecision(BaseModel, frozen=True):
    """Whether the challenger is promoted to champion, and the reason in plain words.

    `compared_with` is the run that trained the champion, `best` the number of the best version kept
    by deciding metric, where that is not the challenger; `tolerance` that of the gate.
    `champion_is_damaged`: there is a champion, but it is damaged and was not compared.
    """

    outcome: Outcome
    why: str
    comparisons: tuple[Comparison, ...] = ()
    compared_with: str = ""
    best: Mapping[str, str] = {}
    tolerance: float = 0.0
    champion_is_damaged: bool = False

    @property
    def promote(self) -> bool:
        """Whether the challenger becomes the champion."""
        return self.outcome == "promoted"


def paired_comparison(
    metric: str,
    scores: tuple[float, float],
    differences: NDArray[np.floating[Any]],
    observations: int,
    opponent: str = "",
    is_best: bool = False,
) -> Comparison:
    """Comparison of a metric from bootstrap samples of the difference, (n_samples,).

    `scores` are those of champion and challenger, between 0 and 1. A bootstrap of few observations
    knows nothing of the losses that none of them has: the interval has at least room for those.
    """
    champion, challenger = scores
    difference, room = challenger - champion, unseen_share(0.025, observations)
    low, high = np.quantile(differences, [0.025, 0.975])
    return Comparison(
        score=metric,
        opponent=opponent,
        is_best=is_best,
        champion=champion,
        challenger=challenger,
        difference=difference,
        low=min(float(low), difference - room),
        high=max(float(high), difference + room),
        error=max(float(differences.std()), room / float(ndtri(0.975))),
        observations=observations,
    )


def deciding(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons that decide: F1 micro, and the first list metric that there is."""
    by_name = {row.score: row for row in comparisons}
    lists = [name for name in LIST_METRICS if name in by_name]
    return [by_name[name] for name in [GENRE_METRIC, *lists[:1]] if name in by_name]


def _by_the_same_metrics(
    rows: Iterable[Comparison], others: Iterable[Comparison]
) -> list[Comparison]:
    metrics = {row.score for row in rows}
    return [row for row in others if row.score in metrics]


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
    candidates: int = 0,
    with_best: Sequence[Comparison] = (),
) -> PromotionDecision:
    """Decide about a challenger, which `comparisons` compare with the champion.

    `same_source`: both models were trained on the same data. `candidates` were compared with the
    champion before. `with_best` compares the challenger with the best version ever kept, by the
    metrics in which that is not the champion. Metrics other than `deciding` are only reported.
    """
    rows = deciding(comparisons)
    compared = [*rows, *_by_the_same_metrics(rows, with_best)]
    outcome, why = _outcome(rows, compared, tolerance, same_source, candidates)
    return PromotionDecision(
        outcome=outcome, why=why, comparisons=tuple(comparisons), tolerance=tolerance
    )


def _outcome(
    with_champion: Sequence[Comparison],
    compared: Sequence[Comparison],
    tolerance: float,
    same_source: bool,
    candidates: int,
) -> tuple[Outcome, str]:
    if not with_champion:
        return "borderline", "the champion and it share no movies and queries to be compared on"
    level, candidate = candidate_level(candidates), _ordinal(candidates)
    unsure = [row for row in compared if row.largest_loss(level) > tolerance]
    if worse := [row for row in unsure if row.high < 0]:
        losses = [f"{row.label} is {-row.difference:.3f} lower than {row.whose}" for row in worse]
        return "rejected", f"{' and '.join(losses)} (significant at 95%)"
    better = significantly_better(with_champion, level)
    if same_source and not better:
        why = f"{_none_of(with_champion)} significantly better than the champion's"
        return "rejected", f"{why} on the same source ({candidate})"
    interval = f"{200 * (0.5 - level):.3g}% interval"
    if unsure:
        losses = [
            f"{row.label} may be {row.largest_loss(level):.3f} lower than {row.whose}"
            for row in unsure
        ]
        why = f"{' and '.join(losses)} ({interval}, {candidate}; tolerance {tolerance:g})"
        return "borderline", why
    if better:
        gains = " and ".join(f"{row.label} is {row.difference:.3f} higher" for row in better)
        return "promoted", f"{gains} than the champion's (significant, {candidate})"
    why = f"the source is new, and {_none_of(compared)} more than {tolerance:g} lower"
    return "promoted", f"{why} ({interval}, {candidate})"


def _none_of(rows: Sequence[Comparison]) -> str:
    """The beginning of a sentence about what none of the metrics is."""
    names = [*dict.fromkeys(row.label for row in rows)]
    return f"neither {' nor '.join(names)} is" if names[1:] else f"{names[0]} is not"


def _ordinal(candidates: int) -> str:
    return f"candidate {candidates + 1} against this champion"


def best_versions(
    best: Mapping[str, str],
    with_champion: Sequence[Comparison],
    with_best: Sequence[Comparison],
) -> dict[str, str]:
    """Number of the best version by deciding metric if the challenger is promoted.

    `best` are the numbers before. A metric is left out if the challenger is best in it: if its
    interval includes no loss. What is measured to be better by chance is not best; else every
    second small loss would be forgotten.
    """
    after, rows = dict(best), deciding(with_champion)
    for row in (*rows, *_by_the_same_metrics(rows, with_best)):  # the last row of a metric counts
        after[row.score] = row.opponent
        if row.low >= 0:
            del after[row.score]
    return after


def decision_without_champion(champion: CheckedVersion) -> PromotionDecision:
    """The decision if there is no champion, or only a damaged one."""
    if not champion.version:
        return PromotionDecision(outcome="promoted", why=NO_CHAMPION)
    why = f"the champion (version {champion.version}) cannot be compared: {champion.damage}"
    return PromotionDecision(outcome="promoted", why=why, champion_is_damaged=True)


def decide_by_scores(
    compared: ScoresRef,
    config: GateConfig,
    same_source: bool,
    candidates: int,
    champion: Champion,
    dropped: int,
    remarks: Sequence[str] = (),
) -> PromotionDecision:
    """Decide about the challenger, from its stored comparisons with the champion and the best.

    `candidates` were compared with the champion before; `dropped` is the number of refreshed movies
    that a promotion loses. `remarks` are added to the reason.
    """
    rows = pq.read_table(store.locate(compared) / "gate.parquet").to_pylist()
    comparisons = [Comparison.model_validate(row) for row in rows]
    with_champion = [row for row in comparisons if not row.is_best]
    with_best = [row for row in comparisons if row.is_best]
    decision = promotion_decision(
        with_champion, config.tolerance, same_source, candidates, with_best
    )
    lost = [f"{dropped} movies that refreshes added are not in its sources"] if dropped else []
    why = "; ".join([decision.why, *remarks, *lost])
    get_run_logger().info("%s: %s", decision.outcome, why)
    show_table(
        (_shown_comparison(comparison) for comparison in comparisons),
        key="promotion-gate",
        description="Scores of this run and of the champion, or the best version kept, and the 95% "
        f"interval of their difference. {decision.outcome.capitalize()}: {why}.",
    )
    best = best_versions(champion.best, with_champion, with_best)
    return decision.model_copy(update={"why": why, "compared_with": champion.run_id, "best": best})


def _shown_comparison(row: Comparison) -> dict[str, Any]:
    """A comparison as a row of Prefect's table."""
    opponent = f"version {row.opponent}" if row.is_best else f"champion (version {row.opponent})"
    return {
        "score": row.label,
        "compared with": opponent,
        "this run": row.challenger,
        "other version": row.champion,
        "difference": row.difference,
        "low": row.low,
        "high": row.high,
        "films or queries": row.observations,
    }
