import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import ndtri

from tasks.core.contracts import IndexRef, ScoresRef
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.recommend.scoring import RankConfig
from tasks.registry import gate
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import (
    METRIC_LABELS,
    Comparison,
    GateConfig,
    best_versions,
    candidate_level,
    decide_by_scores,
    deciding,
    decision_without_champion,
    paired_comparison,
    promotion_decision,
    significantly_better,
)
from tests.support.logs import messages
from tests.support.stored import stored_folder

LIST_METRIC = "keyword_ndcg_at_10"
DECIDING = {"f1_micro", LIST_METRIC}


def comparison(
    metric: str,
    difference: float,
    half_width: float = 0.002,
    error: float | None = None,
    best: str = "",
) -> Comparison:
    """A comparison whose standard error is half the `half_width` of its interval, unless given.

    It is one with the champion, version 7, or with `best`, the number of the best version kept.
    """
    return Comparison(
        score=metric,
        opponent=best or "7",
        is_best=bool(best),
        observations=2000,
        champion=0.5,
        challenger=0.5 + difference,
        difference=difference,
        low=difference - half_width,
        high=difference + half_width,
        error=half_width / 2 if error is None else error,
    )


def with_p_value(metric: str, p_value: float) -> Comparison:
    return comparison(metric, difference=float(-ndtri(p_value)), error=1.0)


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        (["f1_macro", "f1_micro"], ["f1_micro"]),
        (["franchise_recall_at_10", LIST_METRIC, "f1_micro"], ["f1_micro", LIST_METRIC]),
        (
            ["f1_micro", "colike_matched_auc", "franchise_recall_at_10"],
            ["f1_micro", "franchise_recall_at_10"],
        ),
        (
            ["f1_micro", "known_item_recall_at_10", "colike_matched_auc"],
            ["f1_micro", "colike_matched_auc"],
        ),
        (["known_item_recall_at_10", "colike_ndcg_at_10"], ["known_item_recall_at_10"]),
        (["f1_macro", "colike_ndcg_at_10"], []),
    ],
)
def test_f1_micro_and_the_first_list_metric_of_both_models_decide(compared, expected):
    rows = deciding([comparison(metric, 0.0) for metric in compared])
    assert [row.score for row in rows] == expected


@pytest.mark.parametrize("metric", sorted(METRIC_LABELS.keys() - DECIDING))
@pytest.mark.parametrize("same_source", [False, True])
def test_any_other_metric_is_reported_and_decides_nothing(metric, same_source):
    equal = [comparison(name, 0.0) for name in sorted(DECIDING)]
    expected = promotion_decision(equal, 0.01, same_source)
    for difference in (-0.4, 0.4):
        other = comparison(metric, difference)
        decision = promotion_decision([*equal, other], 0.01, same_source)
        assert (decision.outcome, decision.why) == (expected.outcome, expected.why)
        assert decision.comparisons == (*equal, other)
        assert best_versions({}, decision.comparisons, ()) == dict.fromkeys(DECIDING, "7")


def test_every_compared_metric_has_a_label():
    assert METRIC_LABELS.keys() == {"f1_micro", "f1_macro", *RELEVANCE_METRICS}
    assert comparison("f1_micro", 0.0).label == "F1 micro"
    assert comparison("new_metric", 0.0).label == "new_metric"


def test_a_significant_loss_that_may_exceed_the_tolerance_rejects_the_challenger():
    comparisons = [comparison("f1_micro", 0.1), comparison(LIST_METRIC, -0.009)]
    decision = promotion_decision(comparisons, tolerance=0.01, same_source=False)
    assert (decision.outcome, decision.promote) == ("rejected", False)
    assert decision.why == "keyword nDCG@10 is 0.009 lower than the champion's (significant at 95%)"
    assert promotion_decision(comparisons, tolerance=0.03, same_source=False).promote


def test_every_significant_loss_is_named():
    comparisons = [comparison(LIST_METRIC, -0.2), comparison("f1_micro", -0.1)]
    assert promotion_decision(comparisons, tolerance=0.05, same_source=True).why == (
        "F1 micro is 0.100 lower than the champion's and "
        "keyword nDCG@10 is 0.200 lower than the champion's (significant at 95%)"
    )


@pytest.mark.parametrize(
    ("difference", "half_width", "outcome"),
    [
        *((-0.1875, 0.0625, "promoted"), (-0.25, 0.0625, "rejected")),
        *((-0.125, 0.125, "promoted"), (-0.125, 0.1875, "borderline")),
        *((-0.1875, 0.125, "rejected"), (-0.1875, 0.1875, "borderline")),
        *((0.0, 0.25, "promoted"), (0.0, 0.3125, "borderline")),
        *((0.0625, 0.3125, "promoted"), (0.0625, 0.375, "borderline")),
    ],
)
def test_an_interval_may_end_at_a_loss_of_the_tolerance(difference, half_width, outcome):
    """One that ends beyond it is a rejection if the other end is a loss too."""
    rows = [comparison("f1_micro", difference, half_width)]
    assert promotion_decision(rows, tolerance=0.25, same_source=False).outcome == outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        *((-0.02, 0.001, "borderline"), (-0.02, -0.001, "rejected")),
        *((-0.009, -0.001, "promoted"), (-0.009, 0.03, "promoted")),
    ],
)
def test_the_ends_of_an_asymmetric_interval_decide(low, high, outcome):
    row = comparison("f1_micro", -0.005).model_copy(update={"low": low, "high": high})
    assert promotion_decision([row], 0.01, same_source=False).outcome == outcome


def test_losses_that_cannot_be_excluded_are_left_to_a_person():
    comparisons = [comparison("f1_micro", -0.005, 0.01), comparison(LIST_METRIC, 0.003, 0.02)]
    decision = promotion_decision(comparisons, tolerance=0.01, same_source=False)
    assert (decision.outcome, decision.promote) == ("borderline", False)
    assert decision.why == (
        "F1 micro may be 0.015 lower than the champion's and "
        "keyword nDCG@10 may be 0.017 lower than the champion's "
        "(95% interval, candidate 1 against this champion; tolerance 0.01)"
    )


def test_on_the_same_source_only_a_significant_improvement_is_promoted():
    """Without one, an uncertain loss is no reason to ask a person."""
    within_noise = [comparison("f1_micro", 0.01, half_width=0.03)]
    decision = promotion_decision(within_noise, tolerance=0.01, same_source=True)
    assert decision.outcome == "rejected"
    assert decision.why == (
        "F1 micro is not significantly better than the champion's on the same source "
        "(candidate 1 against this champion)"
    )
    significant = [comparison("f1_micro", 0.01, half_width=0.005)]
    decision = promotion_decision(significant, tolerance=0.01, same_source=True)
    assert decision.outcome == "promoted"
    assert decision.why == (
        "F1 micro is 0.010 higher than the champion's "
        "(significant, candidate 1 against this champion)"
    )


def test_every_better_metric_is_named():
    comparisons = [comparison("f1_micro", 0.004), comparison(LIST_METRIC, 0.006)]
    assert promotion_decision(comparisons, tolerance=0.01, same_source=True).why == (
        "keyword nDCG@10 is 0.006 higher and F1 micro is 0.004 higher than the champion's "
        "(significant, candidate 1 against this champion)"
    )


@pytest.mark.parametrize("same_source", [False, True])
def test_a_gain_does_not_make_up_for_a_loss(same_source):
    gain = comparison("f1_micro", 0.1)
    losses = (comparison(LIST_METRIC, -0.009), comparison(LIST_METRIC, -0.001, 0.012))
    outcomes = [promotion_decision([gain, loss], 0.01, same_source).outcome for loss in losses]
    assert outcomes == ["rejected", "borderline"]
    within_tolerance = comparison(LIST_METRIC, -0.007)
    assert promotion_decision([gain, within_tolerance], 0.01, same_source).promote


def test_on_a_new_source_a_challenger_without_a_worse_metric_is_promoted():
    comparisons = [comparison("f1_micro", -0.005), comparison(LIST_METRIC, 0.0)]
    decision = promotion_decision(comparisons, tolerance=0.01, same_source=False)
    assert decision.promote
    assert decision.why == (
        "the source is new, and neither F1 micro nor keyword nDCG@10 is more than 0.01 lower "
        "(95% interval, candidate 1 against this champion)"
    )


@pytest.mark.parametrize("same_source", [False, True])
def test_models_without_a_shared_movie_or_query_are_left_to_a_person(same_source):
    decision = promotion_decision([comparison("f1_macro", 0.4)], 0.01, same_source)
    assert decision.outcome == "borderline"
    assert decision.why == "the champion and it share no movies and queries to be compared on"


def test_the_p_value_is_that_of_a_one_sided_test():
    assert comparison("m", 1.959964, error=1.0).p_value == pytest.approx(0.025)
    assert comparison("m", -1.959964, error=1.0).p_value == pytest.approx(0.975)
    assert comparison("m", 0.0, error=1.0).p_value == 0.5
    without_error = [comparison("m", difference, error=0.0) for difference in (-0.1, 0.0, 0.1)]
    assert [row.p_value for row in without_error] == [1, 1, 0]


@pytest.mark.parametrize(
    ("p_values", "better"),
    [
        ((0.04,), ["m0"]),
        ((0.06,), []),
        ((0.001, 0.04), ["m0", "m1"]),
        ((0.04, 0.001), ["m1", "m0"]),
        ((0.02, 0.06), ["m0"]),
        ((0.03, 0.04), []),
        ((0.03, 0.03, 0.03), []),
        ((0.01, 0.03, 0.03), ["m0"]),
        ((0.01, 0.02, 0.04), ["m0", "m1", "m2"]),
    ],
)
def test_of_several_metrics_the_smallest_p_value_is_tested_first_and_most_strictly(
    p_values, better
):
    """At .05: the smallest of two has to be below .025, the other one below .05 then."""
    rows = [with_p_value(f"m{number}", p_value) for number, p_value in enumerate(p_values)]
    assert [row.score for row in significantly_better(rows, level=0.05)] == better


def test_all_candidates_since_a_promotion_share_one_error_probability():
    assert [candidate_level(candidates) for candidates in range(3)] == pytest.approx(
        [0.05 / 2, 0.05 / 6, 0.05 / 12]
    )
    assert sum(map(candidate_level, range(10_000))) == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize(("candidates", "outcome"), [(0, "promoted"), (1, "rejected")])
def test_a_later_candidate_has_to_be_better_by_more(candidates, outcome):
    """With two deciding metrics, .01 is below .05 / 2 / 2, but not below .05 / 6 / 2."""
    better = with_p_value("f1_micro", 0.01)
    rows = [better, comparison(LIST_METRIC, 0.0)]
    decision = promotion_decision(rows, 100.0, same_source=True, candidates=candidates)
    assert decision.outcome == outcome
    assert f"candidate {candidates + 1} against this champion" in decision.why


@pytest.mark.parametrize(
    ("candidates", "interval", "loss"),
    [(0, "95%", 0.0100), (1, "98.3%", 0.0122), (2, "99.2%", 0.0135)],
)
def test_a_later_candidate_has_to_exclude_its_loss_by_more(candidates, interval, loss):
    """The intervals of all candidates together miss the true loss with probability 5%."""
    row = comparison("f1_micro", 0.0, half_width=0.01)
    assert row.largest_loss(candidate_level(candidates)) == pytest.approx(loss, abs=5e-5)
    decision = promotion_decision([row], 0.009, same_source=False, candidates=candidates)
    number = f"candidate {candidates + 1} against this champion"
    assert decision.outcome == "borderline"
    assert decision.why == (
        f"F1 micro may be {loss:.3f} lower than the champion's "
        f"({interval} interval, {number}; tolerance 0.009)"
    )
    decision = promotion_decision([row], loss + 1e-4, same_source=False, candidates=candidates)
    assert decision.promote
    assert decision.why.endswith(f"({interval} interval, {number})")


def test_small_losses_do_not_add_up():
    """Each version is .008 below the one before, within the tolerance of .01."""
    loss = [comparison("f1_micro", -0.008, 0.0), comparison(LIST_METRIC, 0.0, 0.0)]
    assert promotion_decision(loss, tolerance=0.01, same_source=False).promote
    assert best_versions({}, loss, ())["f1_micro"] == "7"
    with_best = [comparison("f1_micro", -0.016, 0.0, best="7")]
    second = promotion_decision(loss, tolerance=0.01, same_source=False, with_best=with_best)
    assert second.outcome == "rejected"
    assert second.why == (
        "F1 micro is 0.016 lower than version 7's, the best kept (significant at 95%)"
    )


def test_an_uncertain_loss_against_the_best_version_is_left_to_a_person():
    rows = [comparison("f1_micro", 0.0, 0.006)]
    with_best = [comparison("f1_micro", -0.005, 0.006, best="3")]
    decision = promotion_decision(rows, 0.01, same_source=False, with_best=with_best)
    assert decision.outcome == "borderline"
    assert decision.why == (
        "F1 micro may be 0.011 lower than version 3's, the best kept "
        "(95% interval, candidate 1 against this champion; tolerance 0.01)"
    )
    assert promotion_decision(rows, tolerance=0.01, same_source=False).promote


def test_a_loss_against_the_champion_counts_beside_a_gain_against_the_best_version():
    rows = [comparison("f1_micro", -0.02)]
    with_best = [comparison("f1_micro", 0.02, best="3")]
    decision = promotion_decision(rows, 0.01, same_source=False, with_best=with_best)
    assert decision.why == "F1 micro is 0.020 lower than the champion's (significant at 95%)"


@pytest.mark.parametrize(("gain", "outcome"), [(0.015, "rejected"), (0.025, "promoted")])
def test_a_significant_gain_may_still_be_a_loss_against_the_best_version(gain, outcome):
    """The champion is .03 below the best."""
    rows = [comparison("f1_micro", gain)]
    with_best = [comparison("f1_micro", gain - 0.03, best="3")]
    decision = promotion_decision(rows, 0.01, same_source=True, with_best=with_best)
    assert decision.outcome == outcome


def test_a_gain_against_the_best_version_alone_is_no_promotion():
    rows, with_best = [comparison("f1_micro", 0.0)], [comparison("f1_micro", 0.05, best="3")]
    decision = promotion_decision(rows, 0.01, same_source=True, with_best=with_best)
    assert decision.outcome == "rejected"


def test_the_best_version_decides_by_deciding_metrics_alone():
    rows = [comparison("f1_micro", 0.0), comparison(LIST_METRIC, 0.0)]
    with_best = [comparison("franchise_recall_at_10", -0.4, best="3")]
    with_best += [comparison("f1_macro", -0.4, best="3")]
    assert promotion_decision(rows, 0.01, same_source=False, with_best=with_best).promote


@pytest.mark.parametrize(
    ("before", "with_champion", "with_best", "after"),
    [
        ({}, 0.0, None, {"f1_micro": "7"}),
        ({}, 0.0015, None, {"f1_micro": "7"}),
        ({}, 0.0025, None, {}),
        ({"f1_micro": "3"}, 0.003, 0.001, {"f1_micro": "3"}),
        ({"f1_micro": "3"}, -0.002, -0.007, {"f1_micro": "3"}),
        ({"f1_micro": "3"}, 0.02, 0.015, {}),
        ({"f1_micro": "3"}, -0.002, 0.003, {}),
        ({"f1_micro": "3"}, -0.002, None, {"f1_micro": "7"}),
        ({"f1_micro": "3"}, 0.003, None, {}),
    ],
)
def test_the_best_version_stays_until_one_is_better_by_more_than_chance(
    before, with_champion, with_best, after
):
    """One that is gone (no row) gives way to the champion, as the best that can be compared."""
    rows = [comparison("f1_micro", with_champion)]
    best = [] if with_best is None else [comparison("f1_micro", with_best, best="3")]
    assert best_versions(before, rows, best) == after


@pytest.mark.parametrize("compared", [["f1_micro"], []])
def test_the_best_version_by_a_metric_that_is_not_compared_stays(compared):
    """Otherwise a version with keywords as a feature would lower the bar for its successors."""
    rows = [comparison(metric, 0.0) for metric in compared]
    with_best = [comparison("franchise_recall_at_10", -0.4, best="3")]
    assert best_versions({LIST_METRIC: "3"}, rows, with_best)[LIST_METRIC] == "3"
    assert "franchise_recall_at_10" not in best_versions({}, rows, with_best)


def test_the_first_version_is_promoted():
    decision = decision_without_champion(CheckedVersion())
    assert (decision.outcome, decision.why) == ("promoted", "no earlier champion")
    assert not decision.champion_is_damaged


def test_a_damaged_champion_is_replaced_and_named():
    decision = decision_without_champion(CheckedVersion(version="3", damage="its index is empty"))
    assert (decision.outcome, decision.champion_is_damaged) == ("promoted", True)
    assert decision.why == "the champion (version 3) cannot be compared: its index is empty"


def test_interval_and_error_are_those_of_the_bootstrap_differences():
    differences = np.arange(1001) / 1000
    row = paired_comparison("m", (0.25, 0.75), differences, observations=10**6)
    assert (row.opponent, row.is_best) == ("", False)
    assert (row.champion, row.challenger, row.difference) == (0.25, 0.75, 0.5)
    assert (row.low, row.high) == pytest.approx((0.025, 0.975))
    assert row.error == pytest.approx(1 / np.sqrt(12), abs=1e-3)
    assert row.observations == 10**6


@pytest.mark.parametrize("n", [10, 300, 3000])
@pytest.mark.parametrize("candidates", [0, 1, 9])
def test_equal_scores_of_few_movies_are_no_certainty(n, candidates):
    """That none of n movies is worse, though more are, happens with the candidate's probability."""
    row = paired_comparison("f1_micro", (0.5, 0.5), np.zeros(1000), observations=n)
    share = row.largest_loss(candidate_level(candidates))
    assert np.exp(-n * share) == pytest.approx(candidate_level(candidates))
    outcome = promotion_decision([row], 0.01, same_source=False, candidates=candidates).outcome
    assert outcome == ("promoted" if n == 3000 else "borderline")


def test_the_interval_of_few_movies_has_room_for_what_they_do_not_show():
    row = paired_comparison("f1_micro", (0.5, 0.5), np.zeros(1000), observations=369)
    assert (row.low, row.high) == pytest.approx((-0.01, 0.01), abs=1e-5)
    assert row.error == pytest.approx(0.01 / 1.96, rel=1e-3)


@pytest.fixture
def shown(monkeypatch) -> list[dict[str, Any]]:
    """The artifacts that were created."""
    artifacts: list[dict[str, Any]] = []
    monkeypatch.setattr(
        gate,
        "show_table",
        lambda rows, **shown: artifacts.append({"rows": rows} | shown),
    )
    monkeypatch.setattr(gate, "get_run_logger", lambda: logging.getLogger("gate"))
    return artifacts


def stored(*comparisons: Comparison) -> ScoresRef:
    rows = pa.Table.from_pylist([row.model_dump() for row in comparisons])
    return stored_folder(ScoresRef, lambda folder: pq.write_table(rows, folder / "gate.parquet"))


CHAMPION = Champion(
    index=IndexRef(uri="u", tag="t"),
    rank=RankConfig(),
    run_id="run",
    best={"f1_micro": "3", "franchise_recall_at_10": "2"},  # the second is not compared
    version="7",
)


@pytest.mark.parametrize(
    ("tolerance", "candidates", "same_source", "outcome"),
    [
        *((0.01, 0, True, "promoted"), (0.01, 1, True, "rejected"), (0.01, 1, False, "promoted")),
        (0.001, 0, False, "borderline"),
    ],
)
def test_a_stored_comparison_is_decided_with_settings_and_candidates(
    artifacts, shown, tolerance, candidates, same_source, outcome
):
    """Its p-value is .0107: below .05 / 2 / 2, but not below .05 / 6 / 2."""
    rows = [comparison("f1_micro", 0.0023), comparison(LIST_METRIC, 0.0)]
    decision = decide_by_scores(
        compared=stored(*rows),
        config=GateConfig(tolerance=tolerance),
        same_source=same_source,
        candidates=candidates,
        champion=CHAMPION,
        dropped=0,
    )
    assert (decision.outcome, decision.compared_with) == (outcome, "run")
    assert decision.comparisons == tuple(rows)
    assert decision.tolerance == tolerance


@pytest.mark.parametrize(
    ("difference", "outcome", "best"),
    [(-0.015, "rejected", {"f1_micro": "3"}), (0.003, "promoted", {})],
)
def test_a_stored_comparison_with_the_best_version_decides_too(
    artifacts, shown, difference, outcome, best
):
    decision = decide_by_scores(
        compared=stored(comparison("f1_micro", 0.0), comparison("f1_micro", difference, best="3")),
        config=GateConfig(),
        same_source=False,
        candidates=0,
        champion=CHAMPION,
        dropped=0,
    )
    not_compared = {"franchise_recall_at_10": "2"}
    assert (decision.outcome, decision.best) == (outcome, best | not_compared)
    assert [row.is_best for row in decision.comparisons] == [False]
    assert [row["compared with"] for row in shown[0]["rows"]] == [
        "champion (version 7)",
        "version 3",
    ]


def test_a_decision_names_what_is_remarkable_and_movies_that_a_promotion_loses(
    artifacts, shown, caplog
):
    arguments: dict[str, Any] = {
        "compared": stored(comparison("f1_micro", 0.0)),
        "config": GateConfig(),
        "same_source": False,
        "candidates": 0,
        "champion": CHAMPION,
    }
    without = decide_by_scores(**arguments, dropped=0)
    with caplog.at_level(logging.INFO):
        decision = decide_by_scores(**arguments, dropped=3, remarks=["version 3 is gone"])
    assert decision.why == (
        f"{without.why}; version 3 is gone; 3 movies that refreshes added are not in its sources"
    )
    assert messages(caplog) == [f"promoted: {decision.why}"]
    assert shown[1]["key"] == "promotion-gate"
    assert shown[1]["description"].endswith(f"difference. Promoted: {decision.why}.")
