"""What the gate promotes in the course of time, on simulated scores.

The measured score of a version is its true score plus an error. The error stays the same where the
gate compares versions on the same movies every week; it is another one where all movies are new.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from tasks.registry.gate import Comparison, best_versions, promotion_decision

TOLERANCE = 0.01
ERROR = 0.004  # standard error of a difference, with about 2,200 movies
METRICS = ("f1_micro", "keyword_ndcg_at_10")
Z = float(ndtri(0.975))
Scores = NDArray[np.float64]  # by metric


def comparison(metric: str, difference: float, error: float, best: str = "") -> Comparison:
    return Comparison(
        score=metric,
        opponent=best or "champion",
        is_best=bool(best),
        champion=0.5,
        challenger=0.5 + difference,
        difference=difference,
        low=difference - Z * error,
        high=difference + Z * error,
        error=error,
        observations=2200,
    )


@dataclass
class Gate:
    """Versions by number: their true scores, and their measured ones on movies that stay.

    With `new_movies`, the versions are measured again each week.
    """

    rng: np.random.Generator
    new_movies: bool = False
    error: float = ERROR
    true: dict[str, Scores] = field(default_factory=dict)
    measured: dict[str, Scores] = field(default_factory=dict)
    champion: str = "1"
    best: dict[str, str] = field(default_factory=dict)
    candidates: int = 0

    def __post_init__(self) -> None:
        self.add(np.zeros(len(METRICS)))

    def add(self, true: Scores | float) -> str:
        """Number of a version with these true scores."""
        number = str(len(self.true) + 1)
        self.true[number] = np.broadcast_to(np.asarray(true), len(METRICS))
        self.measured[number] = self.measure(number)
        return number

    def measure(self, number: str) -> Scores:
        """Measured scores; the difference of two versions has the standard error `error`."""
        return self.rng.normal(self.true[number], self.error / np.sqrt(2))

    def compare(self, challenger: str, others: dict[str, str], is_best: bool) -> list[Comparison]:
        """Comparisons with the version of each metric of `others`, on this week's movies."""
        measured = {
            number: self.measure(number) if self.new_movies else self.measured[number]
            for number in sorted({challenger, *others.values()})
        }
        return [
            comparison(
                metric=metric,
                difference=float(measured[challenger][column] - measured[others[metric]][column]),
                error=self.error,
                best=others[metric] if is_best else "",
            )
            for column, metric in enumerate(METRICS)
            if metric in others
        ]

    def promotes(self, true: Scores | float, same_source: bool) -> bool:
        """Compare a challenger; a promoted one is the champion from now on."""
        challenger = self.add(true)
        rows = self.compare(challenger, dict.fromkeys(METRICS, self.champion), is_best=False)
        with_best = self.compare(challenger, self.best, is_best=True)
        decision = promotion_decision(rows, TOLERANCE, same_source, self.candidates, with_best)
        self.candidates += 1
        if decision.promote:
            best = best_versions(self.best, rows, with_best)
            self.best = {
                metric: self.champion if number == "champion" else number
                for metric, number in best.items()
            }
            self.champion, self.candidates = challenger, 0
        return decision.promote


@pytest.fixture(params=[False, True], ids=["same movies", "new movies"])
def new_movies(request) -> bool:
    """Whether all movies of the gate are new each week."""
    return bool(request.param)


def promotions_without_improvement(
    rng: np.random.Generator, new_movies: bool, weeks: int, error: float = ERROR
) -> int:
    """Promotions if every version is as good as every other, and the source stays the same."""
    gate = Gate(rng, new_movies, error)
    return sum(gate.promotes(0.0, same_source=True) for _ in range(weeks))


def test_200_weeks_without_improvements_promote_something_with_at_most_5_percent(new_movies):
    """The error is half of the usual one, so that no promotion fails for its uncertain losses."""
    rng, n = np.random.default_rng(0), 100
    years = [promotions_without_improvement(rng, new_movies, 200, ERROR / 2) for _ in range(n)]
    assert 0.01 < np.mean(np.array(years) > 0) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / n)


def greatest_loss(
    rng: np.random.Generator, new_movies: bool, error: float, trend: float, spread: float
) -> float:
    """The champion's greatest true loss against the best before it, of 200 weekly new sources.

    Each candidate's true scores are those of the one before plus a random change.
    """
    gate, loss = Gate(rng, new_movies, error), 0.0
    candidate = best = np.zeros(len(METRICS))
    for _ in range(200):
        candidate = candidate + rng.normal(trend, spread, len(METRICS))
        if gate.promotes(candidate, same_source=False):
            best = np.maximum(best, candidate)
        loss = max(loss, float((best - gate.true[gate.champion]).max()))
    return loss


def greatest_losses(*arguments: Any) -> NDArray[np.float64]:
    rng = np.random.default_rng(1)
    return np.array([greatest_loss(rng, *arguments) for _ in range(20)])


@pytest.mark.parametrize(
    ("trend", "spread"), [(-0.0003, 0.0), (-0.0003, 0.0005), (0.0, 0.0005), (-0.0005, 0.002)]
)
@pytest.mark.parametrize("error", [ERROR, 0.0025])
def test_on_new_sources_the_champion_stays_within_the_tolerance_of_the_best(
    new_movies, error, trend, spread
):
    """But for a candidate that is measured better than it is by more than the half width."""
    losses = greatest_losses(new_movies, error, trend, spread)
    assert np.mean(losses > TOLERANCE) <= 0.1
    assert losses.max() <= 1.5 * TOLERANCE


def test_without_the_best_versions_small_losses_would_add_up(monkeypatch):
    monkeypatch.setattr(f"{__name__}.best_versions", lambda *_: {})
    losses = greatest_losses(True, 0.0025, -0.0003, 0.0)
    assert np.mean(losses > 2 * TOLERANCE) > 0.9


def test_a_loss_of_two_tolerances_is_not_promoted_however_often_it_is_tried(new_movies):
    rng, loss = np.random.default_rng(2), np.array([-2 * TOLERANCE, 0.0])
    for _ in range(20):
        gate = Gate(rng, new_movies)
        assert not any(gate.promotes(loss, same_source=False) for _ in range(200))


@pytest.mark.parametrize("same_source", [False, True])
def test_a_gain_of_two_points_is_found_within_three_candidates(new_movies, same_source):
    rng, n_promoted = np.random.default_rng(3), 0
    for _ in range(200):
        gate = Gate(rng, new_movies)
        n_promoted += any(gate.promotes(0.02, same_source) for _ in range(3))
    assert n_promoted >= 0.99 * 200
