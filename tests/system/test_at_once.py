"""Two people change the champion at once: nothing of either is lost.

The second person acts when the first one's flow is about to take the champion's lock, which is the
latest moment at which another process can come between.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from flows import refresh as refresh_module
from flows.phases import publishing
from flows.refresh import refresh
from flows.train import train
from tasks.core.locks import is_locked
from tasks.recommend.search import open_version
from tasks.registry.aliases import PREVIOUS, champion_lock, move_champion, versions_by_alias
from tasks.registry.champion import from_tags, load_champion
from tasks.registry.model_registry import CHAMPION, unpack_tags
from tasks.registry.release import find_version, promote, roll_back, versions
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import catalogue, write_csv
from tests.support.new_movies import asked_to_add
from tests.support.trainings import settings

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("prefect_server", "blank_figures")]
KEEP = {"trainings": 20}  # both of the first trainings are needed to the end
WORSE = {"hidden": [2], "epochs": 1, "learning_rate": 1e-6, "linear": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, prefect_server) -> Path:
    """Artifacts of two trainings, of which the second one is champion."""
    where = tmp_path_factory.mktemp("at-once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(where / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for count in (120, 130):
            train_on(where, count)
    return where


@pytest.fixture(autouse=True)
def at_its_root(folder, monkeypatch) -> None:
    """Every test begins with the second training as champion and the first as `previous`."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(folder / "artifacts"))
    client = connect()
    for version in ("1", "2"):
        promote(client, version)


@pytest.fixture(autouse=True)
def nobody_moves_the_champion_without_its_lock(at_its_root, folder, monkeypatch) -> None:
    def checked(*arguments: object, **options: object) -> None:
        assert is_locked(folder / "artifacts" / "champion.lock")
        move_champion(*arguments, **options)

    for module in ("tasks.registry.tracking.registered_model", "tasks.registry.release"):
        monkeypatch.setattr(f"{module}.move_champion", checked)


def train_on(folder: Path, count: int, **more: object) -> Summary:
    """Train on so many movies: another count is another state of the same source.

    On two dozen test movies chance decides: only what is `WORSE` on purpose meets the gate.
    """
    file = write_csv(folder / "movies.csv", catalogue(count))
    gate = {} if more else {"tolerance": 1.0}
    summary = train(settings(file, retention=KEEP, gate=gate, **more))
    assert isinstance(summary, Summary)
    return summary


def add(folder: Path, number: int) -> None:
    """Refresh with one new movie."""
    row = {"id": str(number), "title": f"New {number}", "overview": f"A ghost of town {number}."}
    file = write_csv(folder / f"{number}.csv", [row], ["id", "title", "overview"])
    refresh(asked_to_add(file, retention=KEEP))


@contextmanager
def meanwhile(module: ModuleType, action: Callable[[], object]) -> Iterator[None]:
    """Do something once, just before a flow of the module takes the champion's lock."""
    waiting = [action]

    @contextmanager
    def lock_after_action() -> Iterator[None]:
        if waiting:
            waiting.pop()()
        with champion_lock():
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "champion_lock", lock_after_action)
        yield
    assert not waiting


def movies() -> set[str]:
    """Ids of the champion's index."""
    index = load_champion().index
    return set(open_version(index.uri, index.tag).to_arrow()["id"].to_pylist())


def trained_by(version: str) -> str:
    return from_tags(unpack_tags(find_version(connect(), version).tags)).run_id


def test_two_refreshes_keep_both_files(folder):
    trained = load_champion().run_id
    with meanwhile(refresh_module, lambda: add(folder, 9002)):
        add(folder, 9001)
    assert {"9001", "9002"} <= movies()
    assert load_champion().run_id == trained
    assert trained_by(PREVIOUS) == trained_by("1")


def test_a_rollback_during_a_refresh_stands(folder):
    with meanwhile(refresh_module, lambda: roll_back(connect())):
        add(folder, 9003)
    assert load_champion().run_id == trained_by("1")
    assert "9003" in movies()
    assert trained_by(PREVIOUS) == trained_by("2")


def test_a_promotion_during_a_refresh_stands(folder):
    with meanwhile(refresh_module, lambda: promote(connect(), "1")):
        add(folder, 9004)
    assert load_champion().run_id == trained_by("1")
    assert "9004" in movies()


def test_a_refresh_never_brings_old_models_back_over_a_new_training(folder):
    summaries = []
    with meanwhile(refresh_module, lambda: summaries.append(train_on(folder, 140))):
        add(folder, 9005)
    (new,) = summaries
    assert new.outcome == "promoted"
    assert load_champion().run_id == new.run.run_id
    assert {"9005", "1139"} <= movies()


def test_a_refresh_during_a_training_is_kept_by_it(folder):
    with meanwhile(publishing, lambda: add(folder, 9006)):
        new = train_on(folder, 145)
    assert load_champion().run_id == new.run.run_id
    assert {"9006", "1144"} <= movies()
    assert trained_by(PREVIOUS) == trained_by("2")


def test_a_rollback_during_a_training_is_what_it_is_compared_with(folder):
    with meanwhile(publishing, lambda: roll_back(connect())):
        worse = train_on(folder, 145, classifier=WORSE)
    assert worse.outcome == "rejected"
    assert versions_by_alias(connect()) == {CHAMPION: "1", PREVIOUS: "2"}


def test_two_trainings_are_compared_with_each_other(folder, caplog):
    """The slower one is measured against the faster one's champion, not against the old one."""
    summaries = []
    with meanwhile(publishing, lambda: summaries.append(train_on(folder, 160))):
        slower = train_on(folder, 155, classifier=WORSE)
    (faster,) = summaries
    assert faster.outcome == "promoted"
    assert slower.outcome == "rejected"
    assert versions_by_alias(connect())[CHAMPION] == faster.model_version
    run = connect().get_run(slower.run.run_id)
    assert without_groups(run.data.metrics)["gate_f1_micro_champion"] == pytest.approx(
        faster.scores["test_f1_micro"], abs=0.2
    )


def test_every_version_of_these_tests_answers(folder):
    for version in versions(connect()):
        reader = from_tags(unpack_tags(version.tags))
        assert open_version(reader.index.uri, reader.index.tag).count_rows()
