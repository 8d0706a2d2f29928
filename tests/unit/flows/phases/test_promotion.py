from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.config import TrainConfig
from flows.phases import promotion
from flows.phases.promotion import (
    Challenger,
    Decision,
    compare_with_champion,
    decide_promotion,
    is_outdated,
)
from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, IndexRef, ScoresRef
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry.challenge import Opponent
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import PromotionDecision
from tasks.registry.opponents import Opponents
from tests.support.direct_phases import FinishedTask

JOINED = ScoresRef(paths=("j",), digest="j")
COMPARED = ScoresRef(paths=("c",), digest="c")


class FailedTask(FinishedTask):
    def result(self) -> Any:
        raise ValueError(self.value)


def test_nothing_is_compared_if_the_check_of_the_documents_fails(monkeypatch):
    """Even if it fails last, when the lists are evaluated already."""
    monkeypatch.setattr(promotion, "decide_promotion", lambda *_: pytest.fail("compared"))
    data: Any = SimpleNamespace(checked=FailedTask("leaks"))
    recommender: Any = SimpleNamespace(lists=FinishedTask(None))
    with pytest.raises(ValueError, match="leaks"):
        compare_with_champion(TrainConfig(), data, recommender)


@pytest.fixture
def decided(monkeypatch) -> dict[str, list[dict[str, Any]]]:
    """What the functions of a comparison were called with; the champion was trained on `source`.

    The champion is version 7. Version 3 had a better F1 micro.
    """
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def recorded(name: str, result: Any) -> Callable[..., Any]:
        def call(*values: Any, **arguments: Any) -> Any:
            calls[name].append(arguments | dict(enumerate(values)))
            return result

        return call

    champion = Champion(
        index=IndexRef(uri="u", tag="t"),
        rank=RankConfig(),
        run_id="run",
        source="source",
        best={"f1_micro": "3"},
        version="7",
    )
    folders = ModelFolders.of(*map(Path, ("doc2vec", "classifier", "lexicon")))
    opponent = Opponent(champion=champion, folders=folders)
    best = opponent.model_copy(update={"is_best": True, "metrics": ("f1_micro",)})
    opponents = Opponents(
        checked=CheckedVersion(version="7", champion=champion, folders=folders),
        champion=opponent,
        best=(best,),
        remarks=("version 2, the best kept, cannot be compared: it was deleted",),
        candidates=2,
        dropped=3,
    )
    rejected = PromotionDecision(outcome="rejected", why="worse")
    monkeypatch.setattr(promotion, "find_opponents", lambda *_: opponents)
    monkeypatch.setattr(promotion, "count_candidates", lambda champion, fingerprint: 2)
    monkeypatch.setattr(promotion, "challenge", recorded("challenge", COMPARED))
    monkeypatch.setattr(promotion, "join_comparisons", recorded("join_comparisons", JOINED))
    monkeypatch.setattr(promotion, "decide_by_scores", recorded("decide_by_scores", rejected))
    return calls


def decide(config: TrainConfig, source: str = "source") -> Decision:
    challenger = Challenger(
        documents=DocumentsRef(paths=("d",), digest="d"),
        folders=ModelFolders.of(*map(Path, ("new", "new", "new"))),
        lists=ScoresRef(paths=("l",), digest="l"),
        ratings=None,
        known_items=None,
        source=source,
        fingerprint="x",
    )
    return decide_promotion.fn(config, challenger, Compute())


@pytest.mark.parametrize("source", ["source", "other"])
def test_a_challenger_is_decided_on_by_what_the_gate_knows_of_the_champion(decided, source):
    decision = decide(TrainConfig(), source)
    assert decision.promotion.outcome == "rejected"
    assert decision.compared == (JOINED,)
    with_champion, with_best = (arguments["opponent"] for arguments in decided["challenge"])
    assert (with_champion.champion.version, with_champion.is_best) == ("7", False)
    assert with_best.is_best
    assert decided["join_comparisons"] == [{0: COMPARED, 1: [COMPARED]}]
    (arguments,) = decided["decide_by_scores"]
    assert arguments["same_source"] == (source == "source")
    assert (arguments["candidates"], arguments["champion"].version) == (2, "7")
    assert (arguments["compared"], arguments["dropped"]) == (JOINED, 3)
    assert arguments["remarks"] == ("version 2, the best kept, cannot be compared: it was deleted",)


def test_a_leaky_run_is_rejected_without_a_comparison(decided):
    decision = decide(TrainConfig(preset="blog"))
    assert (decision.promotion.outcome, decision.promotion.why) == (
        "rejected",
        "its scores leak",
    )
    assert (decision.opponents.checked.version, decision.compared, decided) == ("7", (), {})


@pytest.mark.parametrize(
    ("version", "candidates", "outdated"), [("7", 2, False), ("7", 3, True), ("8", 2, True)]
)
def test_a_decision_is_outdated_by_another_champion_or_candidate(
    decided, monkeypatch, version, candidates, outdated
):
    decision = decide(TrainConfig())
    monkeypatch.setattr(promotion, "is_current_champion", lambda current: current == version)
    monkeypatch.setattr(promotion, "count_candidates", lambda champion, fingerprint: candidates)
    assert is_outdated.fn(decision, "x") == outdated


def test_a_decision_without_a_comparison_has_no_candidates(decided, monkeypatch):
    monkeypatch.setattr(promotion, "is_current_champion", lambda version: True)
    monkeypatch.setattr(promotion, "count_candidates", lambda champion, fingerprint: 9)
    assert not is_outdated.fn(decide(TrainConfig(preset="blog")), "x")
