from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows.config import TrainConfig
from flows.phases import publishing
from flows.phases.promotion import Decision
from flows.phases.publishing import register_version
from tasks.core.contracts import IndexRef, RunRef
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.gate import Outcome, PromotionDecision

RUN = RunRef(run_id="run", experiment_id="1", tracking_uri="")
VERSION = Champion(index=IndexRef(uri="u", tag="new"), rank=RankConfig(), run_id="run")


@pytest.fixture
def registered(monkeypatch) -> list[Champion]:
    """The versions that were registered; the champion is version 3."""
    versions: list[Champion] = []

    def register(_: RunRef, *, reader: Champion, **__: Any) -> str:
        versions.append(reader)
        return "4"

    carried = IndexRef(uri="u", tag="carried")
    monkeypatch.setattr(publishing, "champion_lock", nullcontext)
    monkeypatch.setattr(publishing, "is_outdated", lambda decision, _: decision.version != "3")
    monkeypatch.setattr(publishing, "carry_over", lambda **_: carried)
    monkeypatch.setattr(publishing, "register", register)
    return versions


def published(outcome: Outcome, compared_champion: str = "3") -> Champion | None:
    promotion = PromotionDecision(outcome=outcome, why="", best={"f1_micro": "2"})
    data: Any = SimpleNamespace(documents=SimpleNamespace(result=lambda: None))
    recommender: Any = SimpleNamespace(folders=lambda: None)
    decision = Decision(promotion, [], compared_champion)
    return register_version(TrainConfig(), RUN, data, recommender, decision, VERSION)


@pytest.mark.parametrize(
    ("outcome", "tag"), [("promoted", "carried"), ("rejected", "new"), ("borderline", "carried")]
)
def test_a_version_is_registered_with_the_best_versions(registered, outcome, tag):
    """One that is or may be promoted gets the movies that refreshes added to the champion."""
    version = published(outcome)
    (reader,) = registered
    assert reader.best == {"f1_micro": "2"}
    assert reader.index.tag == tag
    assert version == reader.model_copy(update={"version": "4"})


def test_a_decision_about_an_earlier_champion_registers_nothing(registered):
    assert published("promoted", compared_champion="2") is None
    assert registered == []
