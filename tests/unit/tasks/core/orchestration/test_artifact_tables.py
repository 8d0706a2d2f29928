from typing import Any

import pytest

from tasks.core.orchestration import artifact_tables
from tasks.core.orchestration.artifact_tables import cell, list_columns, show_table


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("f1", 0.60123456, "0.601"),
        ("f1", 1.0, "1.000"),
        ("movies", 414.0, "414"),
        ("doc2vec_seconds", 12.3456, "12.3"),
        ("genres", ["Drama", "War"], "Drama, War"),
        ("genres", [], ""),
        ("f1", None, "–"),
        ("carries_it", True, "yes"),
        ("support", 7, 7),
        ("title", "Alien", "Alien"),
    ],
)
def test_a_cell_is_rounded_and_lists_are_joined(column, value, shown):
    assert cell(column, value) == shown


def test_a_list_is_five_columns_whatever_its_length():
    assert list_columns(["a", "b", "c", "d", "e", "f"]) == {
        "1st": "a",
        "2nd": "b",
        "3rd": "c",
        "4th": "d",
        "5th": "e",
    }
    assert [*list_columns(["a; b"]).values()] == ["a; b", "–", "–", "–", "–"]
    assert set(list_columns(None).values()) == {"–"}


@pytest.fixture
def shown(monkeypatch) -> list[Any]:
    """The artifacts that are created."""
    artifacts: list[Any] = []

    def create(*args: Any, **more: Any) -> None:
        artifacts.append((args, more))

    monkeypatch.setattr(artifact_tables, "create_table_artifact", create)
    return artifacts


def test_outside_a_flow_run_no_table_is_shown(shown):
    show_table([{"f1": 0.5}], key="genres", description="Scores.")
    assert shown == []


def test_a_table_has_a_key_and_a_description(shown, monkeypatch):
    monkeypatch.setattr(artifact_tables.FlowRunContext, "get", lambda: "a run")
    show_table([{"genre": "War", "f1": 0.5}], key="genres", description="Scores.")
    assert shown == [
        (([{"genre": "War", "f1": "0.500"}],), {"key": "genres", "description": "Scores."})
    ]
