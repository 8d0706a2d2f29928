"""What the gate promotes in the course of time, on simulated scores.

The measured score of a version is its true score plus an error that stays the same, since the gate
compares versions on the same movies every week.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from tasks.registry.gate import Comparison, GateRecord, promotion_decision

TOLERANCE = 0.01
ERROR = 0.004  # standard error of a difference, with about 2,200 movies
METRICS = ("f1_micro", "keyword_ndcg_at_10")
Z = float(ndtri(0.975))
Scores = NDArray[np.float64]  # by metric


def comparison(metric: str, difference: float, error: float) -> Comparison:
    return Comparison(
        score=metric,
        champion=0.5,
        challenger=0.5 + difference,
        difference=difference,
        low=difference - Z * error,
        high=difference + Z * error,
        error=error,
    )


@dataclass
class Gate:
    """The champion's measured scores, and what the gate knows of it."""

    champion: Scores
    error: float = ERROR
    record: GateRecord = GateRecord()  # noqa: RUF009 - it is frozen

    def promotes(self, challenger: Scores, same_source: bool) -> bool:
        """Compare a challenger with the champion; a promoted one is the champion from now on."""
        differences = (challenger - self.champion).tolist()
        rows = [
            comparison(metric, difference, self.error)
            for metric, difference in zip(METRICS, differences, strict=True)
        ]
        decision = promotion_decision(rows, TOLERANCE, same_source, self.record)
        if decision.promote:
            self.champion, self.record = challenger, GateRecord(below_best=decision.below_best)
        else:
            candidates = self.record.candidates + 1
            self.record = self.record.model_copy(update={"candidates": candidates})
        return decision.promote


def measured(true: Scores | float, rng: np.random.Generator, error: float = ERROR) -> Scores:
    """Scores of a version; the difference of two versions has the standard error `error`."""
    return rng.normal(true, error / np.sqrt(2), len(METRICS))


def promotions_without_improvement(
    rng: np.random.Generator, weeks: int, error: float = ERROR
) -> int:
    """Promotions if every version is as good as every other, and the source stays the same."""
    gate = Gate(measured(0.0, rng, error), error)
    return sum(gate.promotes(measured(0.0, rng, error), same_source=True) for _ in range(weeks))


def test_without_improvements_at_most_one_week_in_twenty_promotes():
    rng = np.random.default_rng(0)
    promotions = [promotions_without_improvement(rng, weeks=200) for _ in range(20)]
    assert max(promotions) <= 200 / 20
    assert np.mean(promotions) < 0.2


def test_a_year_without_improvements_promotes_nothing_with_probability_95_percent():
    """The error is half of the usual one, so that no promotion fails for its uncertain losses."""
    rng = np.random.default_rng(0)
    years = [promotions_without_improvement(rng, 50, error=ERROR / 2) for _ in range(1000)]
    assert 0.01 < np.mean(np.array(years) > 0) < 0.055


def greatest_loss(rng: np.random.Generator, trend: float, spread: float) -> float:
    """The champion's greatest true loss against the best before it, of 200 weekly new sources.

    Each candidate's true scores are those of the one before plus a random change.
    """
    candidate = best = champion = np.zeros(len(METRICS))
    gate, loss = Gate(measured(candidate, rng)), 0.0
    for _ in range(200):
        candidate = candidate + rng.normal(trend, spread, len(METRICS))
        if gate.promotes(measured(candidate, rng), same_source=False):
            champion, best = candidate, np.maximum(best, candidate)
        loss = max(loss, float((best - champion).max()))
    return loss


@pytest.mark.parametrize(
    ("trend", "spread"), [(-0.0003, 0.0005), (-0.0005, 0.002), (0.0, 0.002), (-0.001, 0.005)]
)
def test_on_new_sources_the_champion_stays_within_the_tolerance_of_the_best(trend, spread):
    """But for a candidate that is measured better than it is by more than the half width.

    The most that 200 candidates are measured better is 3.5 standard errors, with probability 95%,
    which is 1.5 more than the half width.
    """
    rng = np.random.default_rng(1)
    losses = np.array([greatest_loss(rng, trend, spread) for _ in range(100)])
    allowance = (float(ndtri(1 - 0.05 / 200)) - Z) * ERROR
    assert np.mean(losses > TOLERANCE) <= 0.05
    assert losses.max() <= TOLERANCE + allowance


def test_a_loss_of_two_tolerances_is_not_promoted_however_often_it_is_tried():
    rng, loss = np.random.default_rng(2), np.array([-2 * TOLERANCE, 0.0])
    for _ in range(20):
        gate = Gate(measured(0.0, rng))
        assert not any(gate.promotes(measured(loss, rng), same_source=False) for _ in range(200))


@pytest.mark.parametrize("same_source", [False, True])
def test_a_gain_of_two_points_is_found_within_three_candidates(same_source):
    rng, n_found = np.random.default_rng(3), 0
    for _ in range(200):
        gate = Gate(measured(0.0, rng))
        n_found += any(gate.promotes(measured(0.02, rng), same_source) for _ in range(3))
    assert n_found >= 0.99 * 200
