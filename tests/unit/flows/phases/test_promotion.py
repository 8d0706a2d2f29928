from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.config import TrainConfig
from flows.phases import promotion
from flows.phases.promotion import compare_with_champion, decide, is_outdated
from tasks.core.contracts import IndexRef, ScoresRef
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import METRIC_LABELS, PromotionDecision
from tests.support.direct_phases import FinishedTask

JOINED = ScoresRef(paths=("j",), digest="j")
COMPARED = ScoresRef(paths=("c",), digest="c")
KEYS = Path("fitted_keys.npy")


class FailedTask(FinishedTask):
    def result(self) -> Any:
        raise ValueError(self.value)


def test_nothing_is_compared_if_the_check_of_the_documents_fails(monkeypatch):
    """Even if it fails last, when the lists are evaluated already."""
    monkeypatch.setattr(promotion, "decide", lambda *_: pytest.fail("compared"))
    data: Any = SimpleNamespace(checked=FailedTask("leaks"))
    recommender: Any = SimpleNamespace(lists=FinishedTask(None))
    with pytest.raises(ValueError, match="leaks"):
        compare_with_champion(TrainConfig(), data, recommender)


@pytest.fixture
def decided(monkeypatch) -> dict[str, list[dict[str, Any]]]:
    """What the tasks of a comparison were called with; the champion was trained on `source`.

    The champion is version 7. Version 3 had a better F1 micro.
    """
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def submitted(name: str, result: Any) -> SimpleNamespace:
        def submit(*_: Any, **arguments: Any) -> FinishedTask:
            calls[name].append(arguments)
            return FinishedTask(result)

        return SimpleNamespace(submit=submit)

    champion = Champion(
        index=IndexRef(uri="u", tag="t"),
        rank=RankConfig(),
        run_id="run",
        source="source",
        best={"f1_micro": "3"},
        version="7",
    )
    checked = CheckedVersion(
        version="7",
        champion=champion,
        folders=ModelFolders.of(*map(Path, ("doc2vec", "classifier", "lexicon"))),
        fitted_keys=KEYS,
    )
    best = checked.model_copy(
        update={"version": "3", "champion": champion.model_copy(update={"version": "3"})}
    )
    gone = CheckedVersion(version="2", damage="it was deleted")
    rejected = PromotionDecision(outcome="rejected", why="worse")
    monkeypatch.setattr(promotion, "check_champion", lambda: checked)
    monkeypatch.setattr(promotion, "count_candidates", lambda champion, fingerprint: 2)
    monkeypatch.setattr(promotion, "join_comparisons", submitted("join_comparisons", JOINED))
    monkeypatch.setattr(promotion, "check_best_versions", lambda champion: [best, gone])
    monkeypatch.setattr(promotion, "challenge", submitted("challenge", COMPARED))
    monkeypatch.setattr(promotion, "count_dropped", submitted("count_dropped", 3))
    monkeypatch.setattr(promotion, "decide_promotion", submitted("decide_promotion", rejected))
    return calls


def phases(source: str) -> tuple[Any, Any]:
    data = SimpleNamespace(
        documents=FinishedTask("documents"),
        ingested=SimpleNamespace(digest=source),
        **{"ratings": None, "known_items": None, "compute": None},
    )
    return data, SimpleNamespace(folders=lambda: "folders", lists=FinishedTask("lists"))


@pytest.mark.parametrize("source", ["source", "other"])
def test_a_challenger_is_decided_on_by_what_the_gate_knows_of_the_champion(decided, source):
    decision = decide(TrainConfig(), *phases(source))
    assert decision.promotion.outcome == "rejected"
    assert (decision.version, decision.compared) == ("7", [JOINED])
    with_champion, with_best = (arguments["opponent"] for arguments in decided["challenge"])
    assert (with_champion.champion.version, with_champion.is_best) == ("7", False)
    assert with_champion.metrics == tuple(METRIC_LABELS)
    assert (with_best.champion.version, with_best.is_best) == ("3", True)
    assert with_best.metrics == ("f1_micro",)
    assert with_champion.fitted_keys == with_best.fitted_keys == KEYS
    (arguments,) = decided["decide_promotion"]
    assert arguments["same_source"] == (source == "source")
    assert (arguments["candidates"], arguments["champion"].version) == (2, "7")
    assert arguments["compared"] == FinishedTask(JOINED)
    assert decision.candidates == 2
    assert arguments["remarks"] == ["version 2, the best kept, cannot be compared: it was deleted"]
    assert [call["wait_for"] for call in decided["challenge"]] == [[], [FinishedTask(COMPARED)]]
    assert arguments["dropped"] == FinishedTask(3)


def test_a_leaky_run_is_rejected_without_a_comparison(decided):
    decision = decide(TrainConfig(preset="blog"), *phases("source"))
    assert (decision.promotion.outcome, decision.promotion.why) == (
        "rejected",
        "its scores leak",
    )
    assert (decision.version, decision.compared, decided) == ("7", [], {})


@pytest.mark.parametrize(
    ("version", "candidates", "outdated"), [("7", 2, False), ("7", 3, True), ("8", 2, True)]
)
def test_a_decision_is_outdated_by_another_champion_or_candidate(
    decided, monkeypatch, version, candidates, outdated
):
    decision = decide(TrainConfig(), *phases("source"))
    monkeypatch.setattr(promotion, "is_current_champion", lambda current: current == version)
    monkeypatch.setattr(promotion, "count_candidates", lambda champion, fingerprint: candidates)
    assert is_outdated(decision, "x") == outdated


def test_a_decision_without_a_champion_has_no_candidates(decided, monkeypatch):
    monkeypatch.setattr(promotion, "is_current_champion", lambda version: True)
    assert not is_outdated(decide(TrainConfig(preset="blog"), *phases("source")), "x")
