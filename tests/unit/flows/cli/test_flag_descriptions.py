from typing import Literal

import pytest
from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from flows.cli.flag_descriptions import command_description


class Stage(BaseModel):
    """How it runs.

    In detail.
    """

    batch_size: int | None = Field(None, gt=0, le=9, description="Rows")
    sizes: tuple[int, ...] = Field((8, 4), description="Sizes")


class Config(BaseModel):
    """A command."""

    title: CliPositionalArg[str] = Field(description="Title")
    kind: Literal["a", "b"] = Field("a", description="Kind")
    as_json: bool = Field(True, alias="json", description="JSON")
    stage: Stage = Stage()


@pytest.mark.parametrize(
    "expected",
    [
        {"name": "TITLE", "description": "Title", "required": True, "type": "text"},
        {
            "name": "--kind",
            "description": "Kind",
            "default": "a",
            "type": "choice",
            "choices": ["a", "b"],
        },
        {"name": "--json", "description": "JSON", "default": "on", "type": "switch"},
        {
            "name": "--stage.batch-size",
            "stage": "stage",
            "description": "Rows",
            "bounds": {"gt": 0, "le": 9},
            "type": "integer",
            "optional": True,
        },
        {
            "name": "--stage.sizes",
            "stage": "stage",
            "description": "Sizes",
            "default": "8,4",
            "type": "integers",
        },
    ],
    ids=lambda expected: expected["name"],
)
def test_a_setting_is_described_without_what_is_empty(expected):
    assert expected in command_description(Config)["flags"]


def test_a_stage_is_described_by_the_first_line_of_its_docstring():
    assert command_description(Config)["stages"] == {"stage": "How it runs"}
