import pytest

from flows.config import TrainConfig
from flows.phases import start
from flows.phases.start import reason_to_skip
from tasks.core.contracts import IndexRef
from tasks.core.storage.code_version import imported_files
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import GateConfig
from tasks.registry.gate_record import Refused


@pytest.fixture(autouse=True)
def inputs(monkeypatch) -> None:
    """Inputs of which the fingerprint is `x`."""
    for name in ("resolve_sources", "digests_of", "source_digest"):
        monkeypatch.setattr(start, name, lambda *_: "")
    for name in ("find_ratings", "find_known_items"):
        monkeypatch.setattr(start, name, lambda _: None)
    monkeypatch.setattr(start, "code_version", lambda _: "code")
    monkeypatch.setattr(start, "fingerprint", lambda *_: "x")


def registry(
    monkeypatch, champion: str, outcome: str, compared_with: str = "run", tolerance: float = 0.01
) -> None:
    """A champion with a fingerprint, and version 4 with the fingerprint of the inputs."""
    index = IndexRef(uri="u", tag="t")
    current = Champion(index=index, rank=RankConfig(), run_id="run", fingerprint=champion)
    refused = Refused("4", outcome == "borderline", "F1 is equal")

    def find(_: object, current: Champion, fingerprint: str, gate: GateConfig) -> Refused | None:
        is_refused = outcome != "promoted" and gate.tolerance == tolerance
        same = (current.run_id, fingerprint) == (compared_with, "x")
        return refused if is_refused and same else None

    monkeypatch.setattr(start, "connect", lambda: None)
    monkeypatch.setattr(start, "find_refused", find)
    monkeypatch.setattr(
        start, "load_checked_champion", lambda: CheckedVersion(version="3", champion=current)
    )


def test_nothing_is_skipped_without_an_intact_champion(monkeypatch):
    registry(monkeypatch, champion="x", outcome="rejected")
    damaged = CheckedVersion(version="3", damage="its index is empty")
    monkeypatch.setattr(start, "load_checked_champion", lambda: damaged)
    assert reason_to_skip(TrainConfig()) == ""


def test_the_inputs_of_the_champion_are_skipped(monkeypatch):
    registry(monkeypatch, champion="x", outcome="rejected")
    assert reason_to_skip(TrainConfig()) == (
        "Skipped: the champion was trained on this source with these settings and this code."
    )


@pytest.mark.parametrize(
    ("outcome", "next_step"),
    [
        ("rejected", "It was not promoted: F1 is equal."),
        (
            "borderline",
            "It waits for your approval (F1 is equal): movie-recommender release approve 4",
        ),
    ],
)
def test_the_inputs_of_a_version_that_the_champion_refused_are_skipped(
    monkeypatch, outcome, next_step
):
    registry(monkeypatch, champion="y", outcome=outcome)
    assert reason_to_skip(TrainConfig()) == (
        "Skipped: version 4 was trained on this source with these settings and this code. "
        f"{next_step}"
    )


def test_other_inputs_and_those_refused_by_an_earlier_champion_are_trained(monkeypatch):
    registry(monkeypatch, champion="y", outcome="promoted")
    assert reason_to_skip(TrainConfig()) == ""
    registry(monkeypatch, champion="y", outcome="rejected", compared_with="earlier")
    assert reason_to_skip(TrainConfig()) == ""


def test_what_another_tolerance_refused_is_trained(monkeypatch):
    registry(monkeypatch, champion="y", outcome="borderline", tolerance=0.02)
    assert reason_to_skip(TrainConfig()) == ""
    assert reason_to_skip(TrainConfig(gate=GateConfig(tolerance=0.02)))


@pytest.mark.parametrize(
    ("settings", "tags"),
    [
        ({}, ["default", "movies"]),
        ({"skip_unchanged": True}, ["default", "movies"]),  # of no stage
        (
            {"doc2vec": {"seed": 2}, "text": {"keywords": True}},
            ["default", "movies", "keywords-as-feature", "text.keywords", "doc2vec.seed=2"],
        ),
        (
            {"ingest": {"keywords": "https://user:secret@host/k.csv"}},
            ["default", "movies", "ingest.keywords=https://***@host/k.csv"],
        ),
    ],
)
def test_a_run_is_tagged_with_the_settings_that_differ_from_its_preset(settings, tags):
    config = TrainConfig.model_validate({"source": "movies.csv", **settings})
    assert sorted(start.flow_run_tags(config)) == sorted(tags)


def test_a_skipped_run_cleans_up_as_others_do(monkeypatch):
    """Week after week, it may be the only one."""
    done = list[object]()
    monkeypatch.setattr(start, "connect", lambda: "client")
    monkeypatch.setattr(start, "experiment_id", lambda _: "1")
    monkeypatch.setattr(start, "close_dead_runs", lambda *arguments: done.append(arguments))
    monkeypatch.setattr(start, "clean_up", done.append)
    config = TrainConfig.model_validate({"retention": {"trainings": 3}})
    start.skip_run(config, "Skipped: as before")
    assert done == [("client", "1"), config.retention]


def test_a_change_in_the_code_of_any_stage_is_another_training():
    """What decides whether a weekly run is skipped."""
    modules = imported_files(start.TRAINING)
    assert modules.keys() >= {
        *("tasks.genres.ensemble", "tasks.genres.linear", "tasks.genres.network.training"),
        *("tasks.embedding.training", "tasks.data.preprocess", "tasks.data.splits"),
        *("tasks.recommend.features.index_features", "tasks.registry.gate", "flows.phases.genres"),
    }
