import os
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.core.contracts import IndexRef, UserError
from tasks.recommend.scoring import RankConfig
from tasks.registry import release
from tasks.registry.aliases import next_previous
from tasks.registry.champion import Champion, to_tags
from tasks.registry.release import (
    _require_waiting,
    changed_values,
    genre_changes,
    list_changes,
    metric_changes,
    promotion_reason,
    require_usable,
)
from tasks.registry.retention import delete_old_logs, split_by_retention


def test_equal_values_are_not_listed():
    a = {"epochs": "1", "seed": "42"}
    b = {"epochs": "2", "seed": "42", "new": "x"}
    assert changed_values(a, b) == [
        {"name": "epochs", "a": "1", "b": "2"},
        {"name": "new", "a": None, "b": "x"},
    ]


def test_metrics_of_only_one_version_are_not_listed():
    (row,) = metric_changes({"f1": 0.5, "old": 1.0}, {"f1": 0.7, "new": 2.0})
    assert row["name"] == "f1"
    assert row["difference"] == pytest.approx(0.2)


def test_headline_metrics_are_listed_first():
    """The terminal shows the first rows alone."""
    a = dict.fromkeys(["test_f1_micro", "rec_gini", "rec_keyword_ndcg_at_10", "a"], 0.5)
    names = [row["name"] for row in metric_changes(a, dict.fromkeys(a, 0.7))]
    assert names == ["rec_keyword_ndcg_at_10", "test_f1_micro", "a", "rec_gini"]


def test_genres_are_sorted_by_change():
    def rows(*scores: float | None) -> list[dict[str, object]]:
        names = ("Drama", "War", "Music")
        return [
            {"genre": name, "support": 9, "f1": f1} for name, f1 in zip(names, scores, strict=True)
        ]

    changes = genre_changes(rows(0.5, 0.5, None), rows(0.6, 0.2, 0.9))
    assert [row["genre"] for row in changes] == ["War", "Drama"]


def test_lists_are_sorted_by_change():
    a = [
        {"film": "Alien", "movies like it": ["Aliens; or: The Nest (1986)", "Up (2009)"]},
        {"film": "Up", "movies like it": ["Cars (2006)", "Wall-E (2008)"]},
        {"film": "Gone", "movies like it": ["Cars (2006)"]},
    ]
    b = [
        {"film": "Alien", "movies like it": ["Up (2009)", "Aliens; or: The Nest (1986)"]},
        {"film": "Up", "movies like it": ["Cars (2006)", "Coco (2017)"]},
    ]
    assert list_changes(a, b) == [
        {"film": "Up", "stayed": 0.5, "left": "Wall-E (2008)", "came": "Coco (2017)"},
        {"film": "Alien", "stayed": 1.0, "left": "", "came": ""},
    ]


def test_lists_that_an_earlier_release_stored_as_texts_are_compared_too():
    (change,) = list_changes(
        [{"film": "Up", "movies like it": "Cars (2006); Wall-E (2008)"}],
        [{"film": "Up", "movies like it": ["Wall-E (2008)", "Coco (2017)"]}],
    )
    assert change == {
        "film": "Up",
        "stayed": 0.5,
        "left": "Cars (2006)",
        "came": "Coco (2017)",
    }


def registered(number: int, run_id: str | None) -> SimpleNamespace:
    tags = {"run_id": run_id, "index_tag": f"run-{number}"} if run_id else {}
    return SimpleNamespace(version=str(number), tags=tags)


def numbers(versions: list[SimpleNamespace]) -> list[int]:
    return [int(version.version) for version in versions]


def test_the_newest_trainings_and_versions_with_an_alias_are_kept():
    versions = [registered(number, f"t{number}") for number in (9, 8, 7, 6, 5)]
    keep, retire = split_by_retention(versions, ["5", "8"], trainings=2)
    assert numbers(keep) == [9, 8, 5]
    assert numbers(retire) == [7, 6]


def test_daily_refreshes_do_not_crowd_out_trainings():
    """The first and the last two versions of each training are kept."""
    runs = {1: "a", 2: "b", 3: "c", **dict.fromkeys(range(4, 20), "a")}
    versions = [registered(number, runs[number]) for number in sorted(runs, reverse=True)]
    keep, retire = split_by_retention(versions, ["19", "2"], trainings=3)
    assert numbers(keep) == [19, 18, 3, 2, 1]
    assert set(numbers(retire)) == set(range(4, 18))
    keep, _ = split_by_retention(versions, ["19", "2"], trainings=1)
    assert numbers(keep) == [19, 3, 2]


def test_a_version_of_another_program_is_kept_and_not_counted():
    versions = [registered(4, None), registered(3, "c"), registered(2, "b"), registered(1, "a")]
    keep, retire = split_by_retention(versions, [], trainings=2)
    assert numbers(keep) == [4, 3, 2]
    assert numbers(retire) == [1]


def test_previous_is_a_version_of_another_training_where_possible():
    first, second = registered(1, "a"), registered(2, "b")
    refreshed, again = registered(3, "b"), registered(4, "b")
    assert next_previous(None, first, None) is None
    assert next_previous(first, second, None) == "1"
    assert next_previous(second, refreshed, first) == "1"
    assert next_previous(refreshed, again, first) == "1"
    assert next_previous(again, first, first) == "4"  # rolled back
    assert next_previous(first, again, again) == "1"  # and forward again
    assert next_previous(first, registered(2, "a"), None) == "1"  # a refresh of the only training
    assert next_previous(second, second, first) == "1"


def test_a_version_of_another_format_cannot_become_the_champion(artifacts):
    """Its models are not looked at: this run does not exist."""
    champion = Champion(index=IndexRef(uri="u", tag="t"), rank=RankConfig(), run_id="gone")
    version = SimpleNamespace(version="3", tags=to_tags(champion) | {"format": "1"})
    with pytest.raises(UserError, match="Version 3 was not registered by this release: train"):
        require_usable(version)


def test_the_reason_names_a_manual_promotion():
    manual = {"by_hand": "promoted manually on 2026-11-25 12:00 UTC", "why": "worse"}
    reasons = [
        promotion_reason(SimpleNamespace(tags=tags)) for tags in ({"why": "better"}, manual, {})
    ]
    assert reasons == [
        "better",
        "promoted manually on 2026-11-25 12:00 UTC; promotion gate: worse",
        "",
    ]


def test_only_logs_without_a_recent_line_are_deleted(tmp_path):
    for name, days in (("old.log", 31), ("new.log", 29)):
        (tmp_path / name).write_text("x")
        last_line = time.time() - days * 86400
        os.utime(tmp_path / name, (last_line, last_line))
    assert delete_old_logs(tmp_path, 30) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["new.log"]


WAITING = {"gate": "borderline", "champion_before": "4"}


@pytest.mark.parametrize("champion", ["4", "5"])
def test_a_version_that_waits_may_be_approved_over_the_champion_that_it_was_compared_with(champion):
    """Also if it is the champion already."""
    _require_waiting(SimpleNamespace(version="5", tags=WAITING), champion)


@pytest.mark.parametrize(
    ("tags", "champion", "message"),
    [
        (WAITING, "6", "compared with another champion than version 6"),
        ({"gate": "borderline"}, "4", "compared with another champion than version 4"),
        (WAITING | {"gate": "rejected"}, "4", "its gate said rejected"),
        ({}, "4", "its gate said unknown"),
    ],
)
def test_no_other_version_is_approved(tags, champion, message):
    """A refresh of the champion has its models, but also movies that the version lacks."""
    version = SimpleNamespace(version="5", tags=tags)
    with pytest.raises(UserError, match=f"{message}.*`release promote 5`"):
        _require_waiting(version, champion)


@pytest.mark.parametrize("is_damaged", [True, False])
def test_a_damaged_champion_does_not_become_the_previous_one(is_damaged, monkeypatch):
    moved = list[tuple[str, bool]]()

    def move(_: object, number: str, *, champion_is_damaged: bool) -> None:
        moved.append((number, champion_is_damaged))

    client: Any = SimpleNamespace(
        get_model_version=lambda _, number: number,
        set_model_version_tag=lambda *_: None,
        set_tag=lambda *_: None,
    )
    version: Any = SimpleNamespace(version="4", run_id="run")
    monkeypatch.setattr(release, "versions_by_alias", lambda _: {"champion": "3"})
    monkeypatch.setattr(release, "is_damaged", lambda champion: is_damaged and champion == "3")
    monkeypatch.setattr(release, "move_champion", move)
    assert release._promote(client, version, "promoted manually")
    assert moved == [("4", is_damaged)]
