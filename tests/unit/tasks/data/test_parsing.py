import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.parsing import (
    clean_text,
    overview_problem,
    parse_count,
    parse_id,
    parse_imdb_id,
    parse_keywords,
    parse_literal,
    parse_names,
    parse_names_or_empty,
    parse_year,
)

KAGGLE = "[{'id': 18, 'name': 'Drama'}, {'id': 35, 'name': 'Comedy'}]"


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (KAGGLE, ("Drama", "Comedy")),
        ('[{"id": 18, "name": "Drama"}]', ("Drama",)),
        ("{'id': 18, 'name': 'Drama'}", ("Drama",)),
        ("['Drama', 'War']", ("Drama", "War")),
        ("Drama|Comedy", ("Drama", "Comedy")),
        ("[{'name': 'Sci-Fi & Fantasy'}]", ("Sci-Fi & Fantasy",)),
        ("[{'name': 'Drama'}, {'name': 'Drama'}]", ("Drama",)),
        ("[{'name': ' drama '}]", ("Drama",)),
        ("[]", ()),
        ("", ()),
        ("nan", ()),
    ],
)
def test_names_are_read_from_every_list_format(cell, names):
    assert parse_names(cell) == names


@pytest.mark.parametrize(
    "cell",
    [
        "[{'id': 18, 'name': 'Drama'}",
        "[{'id': 18}]",
        "[{'name': ''}]",
        "[{'name': None}]",
        "[18, 35]",
        "[" * 5000,
        "[" * 50_000,
        "(1, 2)",
    ],
)
def test_a_cell_that_is_not_a_list_of_names_is_rejected(cell):
    with pytest.raises(ValueError):
        parse_names(cell)


def test_code_in_a_cell_is_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for cell in (
        "__import__('os').system('touch eval_was_here')",
        "[{'name': __import__('os').system('touch eval_was_here')}]",
    ):
        with pytest.raises(ValueError):
            parse_names(cell)
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_any_text_is_parsed_or_raises_value_error(text):
    try:
        parse_literal(text)
    except ValueError:
        return


@given(st.lists(st.text(alphabet="abcdefgh -&", min_size=1).filter(lambda name: name.strip())))
def test_json_and_python_lists_give_the_same_names(names):
    items = [{"id": 1, "name": name} for name in names]
    assert parse_names(json.dumps(items)) == parse_names(repr(items))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("862", 862), ("862.0", 862), (" 862 ", 862), ("1997-08-20", None), ("0", None), ("", None)],
)
def test_an_id_is_a_positive_integer(text, expected):
    assert parse_id(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1995-10-30", 1995), ("1995", 1995), ("", None), ("0000-01-01", None), ("19951030", None)],
)
def test_the_year_is_at_the_start_of_a_date(text, expected):
    assert parse_year(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("tt0114709", "tt0114709"), (" tt1 ", "tt1"), ("0", None), ("tt", None), ("tt٣", None)],
)
def test_an_imdb_id_is_tt_and_digits(text, expected):
    assert parse_imdb_id(text) == expected


def test_blank_keywords_are_ignored_but_other_items_need_a_name():
    assert parse_keywords("[{'name': '\xa0'}, {'name': 'toy'}]") == ("Toy",)
    with pytest.raises(ValueError):
        parse_keywords("[{'name': None}]")


def test_counts_can_be_floats_or_missing():
    assert [parse_count(text) for text in ("5415.0", "7", "", "many")] == [5415, 7, None, None]


def test_unreadable_optional_cells_are_empty():
    assert parse_names_or_empty("{'id': 10194, 'name': 'Toy Story Collection'}") == (
        "Toy Story Collection",
    )
    assert parse_names_or_empty("") == ()
    assert parse_names_or_empty("{'id': ") == ()


def test_control_characters_and_line_breaks_become_spaces():
    assert clean_text("\x00null\nbyte  ") == "null byte"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "missing_overview"),
        ("No overview found.", "placeholder_overview"),
        ("N/A", "placeholder_overview"),
        ("a b c 1234", "placeholder_overview"),
        ("A ghost.", None),
        ("千と千尋", None),
    ],
)
def test_an_overview_needs_a_word(text, problem):
    assert overview_problem(text) == problem
