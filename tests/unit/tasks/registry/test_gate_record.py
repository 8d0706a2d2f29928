import logging
import re
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from tasks.core.contracts import IndexRef
from tasks.recommend.scoring import RankConfig
from tasks.registry import gate_record
from tasks.registry.champion import Champion, from_tags, to_tags
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import GateConfig
from tasks.registry.gate_record import (
    Refused,
    check_best_versions,
    compared_runs,
    count_candidates,
    damage_of,
    find_refused,
)
from tests.support.logs import messages


def champion(run_id: str, tag: str = "t", **best: str) -> Champion:
    """A champion of which the training was run `run_id`."""
    index = IndexRef(uri="s3://bucket/lancedb", tag=tag)
    return Champion(index=index, rank=RankConfig(), run_id=run_id, best=best)


class Candidate(NamedTuple):
    """What the run of a candidate is tagged with."""

    fingerprint: str
    compared_with: str
    outcome: str
    tolerance: float = 0.01


def registry(*candidates: Candidate, retired: Collection[str] = ()) -> SimpleNamespace:
    """A client; versions are numbered from 1, runs are found by the run they were compared with."""
    runs = []
    for number, candidate in enumerate(candidates, start=1):
        tags = {"fingerprint": candidate.fingerprint, "compared_with": candidate.compared_with}
        tags |= {"gate": candidate.outcome, "gate_tolerance": str(candidate.tolerance)}
        tags |= {"version": str(number), "promoted.why": f"reason {number}"}
        info = SimpleNamespace(run_id=f"run {number}")
        runs.insert(0, SimpleNamespace(data=SimpleNamespace(tags=tags), info=info))

    def search_runs(experiments: list[str], wanted: str, max_results: int) -> list[Any]:
        assert (experiments, max_results) == (["7"], 10_000)
        (run_id,) = re.fullmatch(r"tags\.compared_with = '(\w+)'", wanted).groups()
        return [run for run in runs if run.data.tags["compared_with"] == run_id]

    numbers = {str(number) for number in range(1, len(runs) + 1)} - set(retired)
    registered = [SimpleNamespace(version=number, tags={}) for number in numbers]
    return SimpleNamespace(
        search_runs=search_runs, search_model_versions=lambda *_, **__: registered
    )


@pytest.fixture(autouse=True)
def experiment(monkeypatch) -> None:
    monkeypatch.setattr(gate_record, "experiment_id", lambda client: "7" if client else "0")


def refused(client: SimpleNamespace, run_id: str, fingerprint: str, **gate: float) -> Any:
    return find_refused(client, champion(run_id), fingerprint, GateConfig(**gate))


@pytest.mark.parametrize("outcome", ["rejected", "borderline"])
def test_a_version_refused_by_the_champion_is_found_by_its_fingerprint(outcome):
    client = registry(Candidate("x", "run", outcome), Candidate("y", "run", outcome))
    assert refused(client, "run", "x") == Refused("1", outcome == "borderline", "reason 1")
    assert refused(client, "run", "z") is None


def test_a_version_refused_by_an_earlier_champion_is_trained_again():
    client = registry(Candidate("x", "earlier", "rejected"))
    assert refused(client, "run", "x") is None
    assert refused(client, "earlier", "x") is not None


def test_a_promoted_version_is_not_refused():
    """It was champion until a rollback."""
    assert refused(registry(Candidate("x", "run", "promoted")), "run", "x") is None


def test_another_tolerance_may_promote_what_was_refused():
    client = registry(Candidate("x", "run", "borderline", tolerance=0.01))
    assert refused(client, "run", "x", tolerance=0.02) is None
    assert refused(client, "run", "x", tolerance=0.01) is not None


def test_the_newest_refused_version_is_found():
    client = registry(*[Candidate("x", "run", "rejected")] * 11)
    assert refused(client, "run", "x").version == "11"


def test_a_retired_version_stays_rejected_but_cannot_be_approved():
    for outcome, is_refused in (("rejected", True), ("borderline", False)):
        client = registry(Candidate("x", "run", outcome), retired=["1"])
        assert (refused(client, "run", "x") is not None) == is_refused


def test_runs_that_repeat_a_training_are_one_candidate_and_none_for_themselves(monkeypatch):
    client = registry(*[Candidate("x", "run", "rejected")] * 3, Candidate("y", "run", "rejected"))
    monkeypatch.setattr(gate_record, "connect", lambda: client)
    assert count_candidates(champion("run"), "z") == 2
    assert count_candidates(champion("run"), "x") == 1


def test_a_champion_without_a_training_run_was_compared_with_none():
    assert compared_runs(registry(), champion("")) == []


@pytest.mark.parametrize(("run_id", "candidates"), [("a", 3), ("b", 1), ("c", 0)])
def test_candidates_are_counted_since_the_promotion_whatever_became_of_them(
    monkeypatch, run_id, candidates
):
    """A second candidate was promoted over a; a rollback then made a the champion again."""
    rows = [("x", "a", "rejected"), ("y", "a", "promoted"), ("z", "b", "rejected")]
    rows.append(("z", "a", "borderline"))
    client = registry(*(Candidate(*row) for row in rows), retired=["1", "2", "3", "4"])
    monkeypatch.setattr(gate_record, "connect", lambda: client)
    assert count_candidates(champion(run_id), "new") == candidates


def test_the_best_versions_are_a_tag_of_the_version():
    version = champion("run", f1_micro="3", keyword_ndcg_at_10="5")
    assert from_tags(to_tags(version)) == version


def test_a_version_of_an_earlier_release_is_the_best():
    tags = to_tags(champion("run", f1_micro="3"))
    del tags["best"]
    assert from_tags(tags).best == {}


def test_best_versions_are_compared_unless_they_are_damaged_or_deleted(monkeypatch, caplog):
    """Version 2 is the best by two metrics, 3 is damaged, and 9 was deleted by a person."""
    monkeypatch.setattr(gate_record, "connect", lambda: registry(*[Candidate("x", "r", "")] * 3))
    monkeypatch.setattr(gate_record, "get_run_logger", lambda: logging.getLogger("gate"))
    damage = {"2": "", "3": "its index is empty"}
    monkeypatch.setattr(
        gate_record,
        "check_version",
        lambda tagged: CheckedVersion(
            version=tagged.version, damage=damage[tagged.version] if tagged.tags == {} else "?"
        ),
    )
    best = {"f1_micro": "2", "keyword_ndcg_at_10": "9", "franchise_recall_at_10": "3"}
    checked = check_best_versions(champion("run", colike_ndcg_at_10="2", **best))
    assert [version.version for version in checked] == ["2", "3", "9"]
    remarks = [
        "version 3, the best kept, cannot be compared: its index is empty",
        "version 9, the best kept, cannot be compared: it was deleted",
    ]
    assert damage_of(checked) == messages(caplog) == remarks
