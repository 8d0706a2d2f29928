from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows.config import TrainConfig
from flows.phases import publishing
from flows.phases.promotion import Decision
from flows.phases.publishing import Evaluation, example_of_champion, register_version
from tasks.core.contracts import IndexRef, IngestRef, RunRef, UserError
from tasks.recommend.index import IndexConfig
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import Outcome, PromotionDecision
from tasks.registry.opponents import Opponents
from tasks.registry.retention import RetentionConfig

RUN = RunRef(run_id="run", experiment_id="1", tracking_uri="")
SETTINGS = {"index": {"min_recall": 0.5}, "retention": {"trainings": 3}}
CONFIG = TrainConfig.model_validate(SETTINGS)
VERSION = Champion(index=IndexRef(uri="u", tag="new"), rank=RankConfig(), run_id="run")


@pytest.fixture
def registered(monkeypatch) -> list[Champion]:
    """The versions that were registered; the champion is version 3."""
    versions: list[Champion] = []

    def register(_: RunRef, *, reader: Champion, **__: Any) -> str:
        versions.append(reader)
        return "4"

    def carried_with(config: IndexConfig) -> IndexRef:
        assert config == CONFIG.index
        return IndexRef(uri="u", tag="carried")

    monkeypatch.setattr(publishing, "champion_lock", nullcontext)
    monkeypatch.setattr(publishing, "without_edge", lambda value: value)
    monkeypatch.setattr(publishing, "is_outdated", lambda decision, _: champion_of(decision) != "3")
    monkeypatch.setattr(publishing, "carry_over", lambda *, config, **_: carried_with(config))
    monkeypatch.setattr(publishing, "register", register)
    return versions


def champion_of(decision: Decision) -> str:
    return decision.opponents.checked.version


def published(outcome: Outcome, compared_champion: str = "3") -> Champion | None:
    promotion = PromotionDecision(outcome=outcome, why="", best={"f1_micro": "2"})
    data: Any = SimpleNamespace(documents=SimpleNamespace(result=lambda: None))
    recommender: Any = SimpleNamespace(folders=lambda: None)
    champion = VERSION if compared_champion else None
    opponents = Opponents(checked=CheckedVersion(version=compared_champion))
    decision = Decision(promotion=promotion, opponents=opponents, champion=champion)
    return register_version(CONFIG, RUN, data, recommender, decision, VERSION)


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


def test_the_first_version_has_no_movies_to_carry_over(registered, monkeypatch):
    monkeypatch.setattr(publishing, "without_edge", lambda value: value)
    monkeypatch.setattr(publishing, "is_outdated", lambda *_: False)
    monkeypatch.setattr(publishing, "carry_over", lambda **_: pytest.fail("carried over"))
    version = published("promoted", compared_champion="")
    assert version is not None
    assert version.index.tag == "new"


def test_a_published_run_cleans_up(monkeypatch, tmp_path):
    cleaned = list[RetentionConfig]()
    metrics = {"headline/test_f1_micro": 0.5}
    evaluation = Evaluation(scores=[], figures=[], metrics=metrics)
    version = VERSION.model_copy(update={"version": "4"})
    monkeypatch.setattr(publishing, "track_evaluation", lambda *_: evaluation)
    monkeypatch.setattr(publishing, "describe_version", lambda *_: VERSION)
    monkeypatch.setattr(publishing, "register_version", lambda *_: version)
    monkeypatch.setattr(publishing, "example_of_champion", lambda: "Alien")
    monkeypatch.setattr(publishing, "report", lambda *_: tmp_path / "report.html")
    monkeypatch.setattr(publishing, "clean_up", cleaned.append)
    data: Any = SimpleNamespace(ingested=IngestRef.model_construct())
    promotion = PromotionDecision(outcome="promoted", why="")
    opponents = Opponents(checked=CheckedVersion(version=""))
    decision = Decision(promotion=promotion, opponents=opponents, champion=None)
    recommender: Any = None
    summary = publishing.publish(CONFIG, RUN, data, recommender, decision)
    assert (summary.model_version, summary.scores) == ("4", metrics)
    assert cleaned == [CONFIG.retention]


@pytest.mark.parametrize("error", [UserError("no champion"), OSError("disk")])
def test_a_finished_run_does_not_fail_for_want_of_an_example(error, monkeypatch):
    def fail() -> None:
        raise error

    monkeypatch.setattr(publishing, "load_champion", fail)
    assert example_of_champion() == ""
