from types import SimpleNamespace

import pytest

from tasks.release import changed, genre_changes, list_changes, metric_changes, retired


def test_only_what_differs_is_shown():
    one, other = {"epochs": "1", "seed": "42"}, {"epochs": "2", "seed": "42", "new": "x"}
    assert changed(one, other) == [
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


def test_the_newest_and_those_with_a_role_stay():
    found = [SimpleNamespace(version=number) for number in (9, 8, 7, 6, 5)]
    stay, go = retired(found, ["5", "8"], keep=2)
    assert [one.version for one in stay] == [9, 8, 5]
    assert [one.version for one in go] == [7, 6]
