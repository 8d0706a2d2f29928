from pathlib import Path

import pytest

from tasks.core.contracts import DocumentsRef, IndexRef
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry import opponents
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import METRIC_LABELS
from tasks.registry.opponents import Opponents, find_opponents

DOCUMENTS = DocumentsRef(paths=("d",), digest="d")
KEYS = Path("fitted_keys.npy")


def checked(version: str, **best: str) -> CheckedVersion:
    """An intact version."""
    index = IndexRef(uri="u", tag=version)
    champion = Champion(index=index, rank=RankConfig(), run_id="run", best=best, version=version)
    folders = ModelFolders.of(*map(Path, ("doc2vec", "classifier", "lexicon")))
    return CheckedVersion(version=version, champion=champion, folders=folders, fitted_keys=KEYS)


@pytest.fixture
def best_versions(monkeypatch) -> None:
    """Of the best versions, one is damaged; two candidates, three movies that would be lost."""
    gone = CheckedVersion(version="2", damage="it was deleted")
    monkeypatch.setattr(opponents, "check_best_versions", lambda champion: [checked("3"), gone])
    monkeypatch.setattr(opponents, "count_candidates", lambda champion, fingerprint: 2)
    monkeypatch.setattr(opponents, "count_dropped", lambda champion, documents: 3)


def test_a_version_is_compared_with_the_champion_and_the_best_by_their_metrics(
    best_versions, monkeypatch
):
    monkeypatch.setattr(opponents, "check_champion", lambda: checked("7", f1_micro="3"))
    result = find_opponents.fn(DOCUMENTS, "fingerprint")
    assert result.champion is not None
    (best,) = result.best
    assert (result.champion.champion.version, result.champion.is_best) == ("7", False)
    assert (best.champion.version, best.is_best) == ("3", True)
    assert result.champion.metrics == tuple(METRIC_LABELS)
    assert best.metrics == ("f1_micro",)
    assert result.champion.fitted_keys == best.fitted_keys == KEYS
    assert result.remarks == ("version 2, the best kept, cannot be compared: it was deleted",)
    assert (result.candidates, result.dropped) == (2, 3)


@pytest.mark.parametrize(
    "champion", [CheckedVersion(), CheckedVersion(version="7", damage="its index is empty")]
)
def test_without_an_intact_champion_there_is_no_opponent(best_versions, monkeypatch, champion):
    monkeypatch.setattr(opponents, "check_champion", lambda: champion)
    assert find_opponents.fn(DOCUMENTS, "fingerprint") == Opponents(checked=champion)
