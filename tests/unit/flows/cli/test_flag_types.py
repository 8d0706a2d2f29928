import click
import pytest

from flows.cli.flag_types import parameter, similar_flags, spell_flags

FLAGS = ["--doc2vec.epochs", "--classifier.epochs", "--source", "--skip-unchanged", "--limit"]


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        (["--top_n", "3"], ["--top-n", "3"]),
        (["--doc2vec.min_words=7"], ["--doc2vec.min-words=7"]),
        (["--text=a_b", "x_y.csv", "-"], ["--text=a_b", "x_y.csv", "-"]),
        (["--a_b", "--", "--c_d"], ["--a-b", "--", "--c_d"]),
    ],
)
def test_flags_with_underscores_are_spelled_with_hyphens_and_values_are_unchanged(typed, spelled):
    assert spell_flags(typed) == spelled


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("--epoch", ["--doc2vec.epochs", "--classifier.epochs"]),
        ("--doc2vec.epoch", ["--doc2vec.epochs"]),
        ("--sorce", ["--source"]),
        ("--unchanged", ["--skip-unchanged"]),
        ("--xyz", []),
    ],
)
def test_similar_flags_are_found_with_and_without_their_stage(name, similar):
    assert similar_flags(name, FLAGS)[: len(similar) or 1] == similar


def accepts(value: str, **description: object) -> bool:
    option = parameter({"name": "--x", "description": "", **description})
    try:
        option.type.convert(value, option, None)
    except click.BadParameter:
        return False
    return True


def test_bounds_of_numbers_are_checked():
    bounds = {"ge": 0, "lt": 1}
    verdicts = [accepts(v, type="number", bounds=bounds) for v in ("-1", "0", "0.9", "1", "a")]
    assert verdicts == [False, True, True, False, False]


def test_null_is_accepted_where_a_setting_can_be_unset():
    assert accepts("null", type="integer", optional=True)
    assert not accepts("null", type="integer")
    assert not accepts("2.5", type="integer", optional=True)


def test_the_help_shows_types_in_words():
    choice = {"name": "--x", "description": "", "type": "choice", "choices": ["a", "b"]}
    assert parameter(choice).metavar == "a|b"
    assert parameter(choice | {"type": "numbers", "choices": []}).metavar == "NUMBERS"
