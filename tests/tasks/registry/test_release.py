import os
import time
from types import SimpleNamespace

import pytest

from tasks.registry.aliases import next_previous
from tasks.registry.release import (
    changed_values,
    genre_changes,
    list_changes,
    metric_changes,
    promotion_reason,
)
from tasks.registry.retention import delete_old_logs, sorted_for_retirement


def test_only_what_differs_is_shown():
    one, other = {"epochs": "1", "seed": "42"}, {"epochs": "2", "seed": "42", "new": "x"}
    assert changed_values(one, other) == [
        {"name": "epochs", "a": "1", "b": "2"},
        {"name": "new", "a": None, "b": "x"},
    ]


def test_metrics_that_one_lacks_cannot_differ():
    (row,) = metric_changes({"f1": 0.5, "old": 1.0}, {"f1": 0.7, "new": 2.0})
    assert row["name"] == "f1"
    assert row["difference"] == pytest.approx(0.2)


def test_what_the_machine_was_busy_with_is_no_difference():
    assert metric_changes({"system/cpu": 1.0, "f1": 0.5}, {"system/cpu": 9.0, "f1": 0.5}) == []


def test_genres_that_changed_most_come_first():
    def rows(*scores: float | None) -> list[dict[str, object]]:
        names = ("Drama", "War", "Music")
        return [
            {"genre": name, "support": 9, "f1": f1} for name, f1 in zip(names, scores, strict=True)
        ]

    found = genre_changes(rows(0.5, 0.5, None), rows(0.6, 0.2, 0.9))
    assert [row["genre"] for row in found] == ["War", "Drama"]


def test_lists_that_changed_most_come_first():
    one = [
        {"film": "Alien", "movies like it": "Aliens (1986); Up (2009)"},
        {"film": "Up", "movies like it": "Cars (2006); Wall-E (2008)"},
        {"film": "Gone", "movies like it": "Cars (2006)"},
    ]
    other = [
        {"film": "Alien", "movies like it": "Up (2009); Aliens (1986)"},
        {"film": "Up", "movies like it": "Cars (2006); Coco (2017)"},
    ]
    assert list_changes(one, other) == [
        {"film": "Up", "stayed": 0.5, "left": "Wall-E (2008)", "came": "Coco (2017)"},
        {"film": "Alien", "stayed": 1.0, "left": "", "came": ""},
    ]


def registered(number: int, run_id: str | None) -> SimpleNamespace:
    tags = {"run_id": run_id, "index_tag": f"run-{number}"} if run_id else {}
    return SimpleNamespace(version=str(number), tags=tags)


def numbers(versions: list[SimpleNamespace]) -> list[int]:
    return [int(one.version) for one in versions]


def test_the_newest_trainings_and_what_has_a_role_stay():
    found = [registered(number, f"t{number}") for number in (9, 8, 7, 6, 5)]
    stay, go = sorted_for_retirement(found, ["5", "8"], trainings=2)
    assert numbers(stay) == [9, 8, 5]
    assert numbers(go) == [7, 6]


def test_daily_refreshes_do_not_crowd_out_trainings():
    """Of each training its first and last two versions stay, however often it was refreshed."""
    runs = {1: "a", 2: "b", 3: "c", **dict.fromkeys(range(4, 20), "a")}
    found = [registered(number, runs[number]) for number in sorted(runs, reverse=True)]
    stay, go = sorted_for_retirement(found, ["19", "2"], trainings=3)
    assert numbers(stay) == [19, 18, 3, 2, 1]
    assert set(numbers(go)) == set(range(4, 18))
    stay, _ = sorted_for_retirement(found, ["19", "2"], trainings=1)
    assert numbers(stay) == [19, 3, 2]


def test_a_version_of_something_else_is_never_retired_and_takes_no_place():
    found = [registered(4, None), registered(3, "c"), registered(2, "b"), registered(1, "a")]
    stay, go = sorted_for_retirement(found, [], trainings=2)
    assert numbers(stay) == [4, 3, 2]
    assert numbers(go) == [1]


def test_previous_is_another_training_where_there_is_one():
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


def test_the_reason_tells_what_was_done_by_hand():
    by_hand = {"by_hand": "promoted by hand on 2026-11-25 12:00 UTC", "why": "worse"}
    said = [
        promotion_reason(SimpleNamespace(tags=tags)) for tags in ({"why": "better"}, by_hand, {})
    ]
    assert said == [
        "better",
        "promoted by hand on 2026-11-25 12:00 UTC; the gate had said: worse",
        "",
    ]


def test_only_logs_without_a_new_line_are_deleted(tmp_path):
    for name, days in (("old.log", 31), ("new.log", 29)):
        (tmp_path / name).write_text("x")
        when = time.time() - days * 86400
        os.utime(tmp_path / name, (when, when))
    assert delete_old_logs(tmp_path, 30) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["new.log"]
