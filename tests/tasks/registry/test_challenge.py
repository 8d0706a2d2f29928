import numpy as np
import pyarrow as pa
import pytest

from tasks.registry.challenge import (
    Comparison,
    PairedPredictions,
    compare_genres,
    compare_lists,
    join_lists,
    promotion_decision,
)


def compared(score: str, champion: float, challenger: float, spread: float = 0.02) -> Comparison:
    difference = challenger - champion
    low, high = difference - spread, difference + spread
    return Comparison(
        score=score,
        champion=champion,
        challenger=challenger,
        difference=difference,
        low=low,
        high=high,
    )


def test_one_score_that_is_worse_keeps_the_champion():
    found = [compared("test_f1_micro", 0.6, 0.7), compared("test_f1_macro", 0.5, 0.48)]
    answer = promotion_decision(found, tolerance=0.01, same_source=False)
    assert not answer.promote
    assert answer.why == "worse than the champion: test_f1_macro 0.480, not 0.500"
    assert promotion_decision(found, tolerance=0.03, same_source=False).promote


def test_chance_is_no_promotion():
    found = [compared("test_f1_micro", 0.6, 0.61, spread=0.02)]
    assert not promotion_decision(found, 0.01, same_source=True).promote
    surely = [compared("test_f1_micro", 0.6, 0.61, spread=0.005)]
    assert (
        promotion_decision(surely, 0.01, same_source=True).why
        == "better: test_f1_micro 0.610, not 0.600"
    )


def test_a_new_source_is_worth_a_promotion_where_nothing_is_worse():
    found = [compared("test_f1_micro", 0.6, 0.595)]
    assert promotion_decision(found, 0.01, same_source=False).promote
    assert promotion_decision([], 0.01, same_source=False).promote


def guesses(right: float, labels: np.ndarray, seed: int) -> np.ndarray:
    flip = np.random.default_rng(seed).random(labels.shape) > right
    return np.where(flip, 1 - labels, labels).astype(np.uint8)


def test_a_better_model_is_better_beyond_chance_and_an_equal_one_is_not():
    labels = (np.random.default_rng(0).random((400, 6)) < 0.3).astype(np.uint8)
    good, poor = guesses(0.95, labels, 1), guesses(0.8, labels, 2)
    micro, macro = compare_genres(PairedPredictions(labels, champion=poor, challenger=good))
    assert micro.low > 0.05
    assert macro.difference == pytest.approx(macro.challenger - macro.champion)
    same, _ = compare_genres(PairedPredictions(labels, champion=good, challenger=good))
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_lists_are_compared_query_by_query():
    champion = np.random.default_rng(0).random(200).astype(np.float32)
    found = compare_lists("colike_ndcg_at_10", champion, champion + np.float32(0.01))
    assert found.score == "rec_colike_ndcg_at_10"
    assert found.difference == pytest.approx(0.01, abs=1e-6)
    assert found.low == pytest.approx(found.high, abs=1e-5)  # the queries' own spread is no noise


def test_sample_lists_lie_beside_each_other():
    one = pa.table({"film": ["Alien", "Up"], "movies like it": ["Aliens", "Cars"]})
    other = pa.table({"film": ["Alien"], "movies like it": ["The Thing"]})
    assert join_lists(one, other).to_pylist() == [
        {"film": "Alien", "challenger": "Aliens", "champion": "The Thing"},
        {"film": "Up", "challenger": "Cars", "champion": None},
    ]
