import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.name_lists import (
    choose_separator,
    list_items,
    parse_keywords,
    parse_literal,
    parse_names,
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
        ("[{'name': ' drama '}]", ("drama",)),
        ("['Drama' 'Science Fiction']", ("Drama", "Science Fiction")),
        ("['Drama'\n 'War' \"Children's\"]", ("Drama", "War", "Children's")),
        ("array(['Drama', 'War'], dtype=object)", ("Drama", "War")),
        ("('Drama', 'War')", ("Drama", "War")),
        ("('Drama',)", ("Drama",)),
        ("{'War', 'Drama', 'Action'}", ("War", "Drama", "Action")),
        ('{Drama,"Science Fiction"}', ("Drama", "Science Fiction")),
        ("[Drama, Science Fiction]", ("Drama", "Science Fiction")),
        ("[‘Drama’, ‘Children’s’]", ("Drama", "Children’s")),
        ("[“Drama”, “War”]", ("Drama", "War")),
        ('["Drama", null, ""]', ("Drama",)),
        ("['Drama', 'Children's']", ("Drama", "Children's")),
        ("['new year's eve', \"cop\"]", ("new year's eve", "cop")),
        ("['80s, Drama]", ("'80s", "Drama")),
        ("['Drama', NaN]", ("Drama",)),
        ('["Drama", NaN]', ("Drama",)),
        ("array(['Drama', 'War'], dtype='<U6')", ("Drama", "War")),
        ("Action &amp; Adventure|Drama", ("Action & Adventure", "Drama")),
        *[(cell, ()) for cell in ("{}", "set()", "[]", "()")],
        ("(no genres listed)", ()),
        (r"\N", ()),
        ("[]", ()),
        ("", ()),
        ("nan", ()),
        ("['nan']", ()),
    ],
)
def test_names_are_read_from_every_list_format(cell, names):
    assert parse_names(cell) == names


@pytest.mark.parametrize(
    "cell",
    [
        "[{'id': 18, 'name': 'Drama'}",
        "[{'id': 18}]",
        "[18, 35]",
        "[" * 5000,
        "[" * 50_000,
        "(1, 2)",
        "['Drama', 'Comedy]",
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
    ("cells", "separator"),
    [
        (["Drama|Comedy", "War", "Sci-Fi, Fantasy|War"], "|"),
        (["Drama, Comedy", "Sci-Fi/Fantasy, War", "War"], ","),
        (["Drama; Comedy", "War"], ";"),
        (["Drama / Comedy"], "/"),
        (["恐怖、喜剧"], "、"),
        (["['Drama', 'War']", "['Drama', 'Comedy']"], "|"),
        (["Drama", ""], "|"),
    ],
)
def test_the_separator_is_that_of_most_plain_cells(cells, separator):
    assert choose_separator(cells) == separator


def test_only_the_separator_of_the_file_separates():
    assert parse_names("Sci-Fi/Fantasy, War", ",") == ("Sci-Fi/Fantasy", "War")
    assert parse_names("Good, bad", "\0") == ("Good, bad",)


def test_blank_keywords_are_ignored_and_have_capital_initials():
    assert parse_keywords("[{'name': '\xa0'}, {'name': 'toy story'}]") == ("Toy Story",)
    assert parse_keywords("[{'name': \"children's game\"}]") == ("Children's Game",)
    assert parse_keywords("war: the (first) end|NA|toy") == ("War: The (First) End", "Toy")


@pytest.mark.parametrize("mark", ["،", "／", "•", "\n", "、", ";"])
def test_marks_of_other_scripts_separate_too(mark):
    assert choose_separator([f"A{mark}B", "A"]) == mark
    assert parse_names(f"A{mark}B", mark) == ("A", "B")


def test_semicolons_of_entities_separate_nothing():
    assert choose_separator(["Action &amp; Adventure, Comedy", "Sci-Fi &amp; Fantasy"]) == ","
    assert choose_separator(["Action &amp; Adventure"], ",") == ","
    assert parse_keywords("cat &amp; dog, bird", ",") == ("Cat & Dog", "Bird")


@pytest.mark.parametrize("cell", ["['" + "a'" * 200_000 + "{]", "['" + "a'," * 200_000 + "{]"])
def test_a_long_damaged_list_is_refused_at_once(cell):
    with pytest.raises(ValueError):
        list_items(cell, 10**6)
