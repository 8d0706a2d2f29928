import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.companions.people import (
    parse_credits,
    parse_crew_directors,
    parse_directors,
    parse_leading_actors,
    read_people,
    read_readable_people,
)

names = st.text(alphabet="abcÅé'. -", min_size=1, max_size=8).filter(
    lambda name: any(map(str.isalpha, name)) and name == " ".join(name.split())
)


@pytest.mark.parametrize(
    ("cell", "directors"),
    [
        ("James Cameron", ("James Cameron",)),
        ("Lana Wachowski, Lilly Wachowski", ("Lana Wachowski", "Lilly Wachowski")),
        ("Lana Wachowski|Lilly Wachowski", ("Lana Wachowski", "Lilly Wachowski")),
        ('["Joel Coen", "Ethan Coen"]', ("Joel Coen", "Ethan Coen")),
        ("['Joel Coen', 'Ethan Coen']", ("Joel Coen", "Ethan Coen")),
        ("[{'id': 1, 'name': 'Joel Coen'}]", ("Joel Coen",)),
        ('{"id": 1, "name": "Joel Coen"}', ("Joel Coen",)),
        ("['Joel Coen' 'Ethan Coen']", ("Joel Coen", "Ethan Coen")),
        ('{"Joel Coen","Ethan Coen"}', ("Joel Coen", "Ethan Coen")),
        ("{Joel Coen,Ethan Coen}", ("Joel Coen", "Ethan Coen")),
        ("('Joel Coen', 'Ethan Coen')", ("Joel Coen", "Ethan Coen")),
        ("M. Night Shyamalan, M. Night Shyamalan", ("M. Night Shyamalan",)),
        ("[]", ()),
        (" ", ()),
        ("nan", ()),
    ],
)
def test_directors_are_read_from_every_form_of_a_list(cell, directors):
    assert parse_directors(cell) == directors


@pytest.mark.parametrize("name", ["will.i.am", "k.d. lang", "Simon & Garfunkel", "Tom O'Neil/Band"])
def test_names_of_people_are_neither_capitalised_nor_split(name):
    assert parse_directors(name) == (name,)
    assert parse_directors(json.dumps([name])) == (name,)


def test_the_mark_between_names_can_be_that_of_the_file():
    cells = {"director": "Coen, Joel; Coen, Ethan", "cast": "A, B; C"}
    names = read_people(cells, {"director": ";"})
    assert names == ("Coen, Joel", "Coen, Ethan", "A", "B; C")


def test_unknown_is_no_person():
    assert parse_directors("Unknown") == parse_directors("N/A, unknown") == ()


def test_texts_without_a_letter_are_no_names():
    assert parse_directors("4.5") == ()
    assert parse_directors("Joel Coen, , -") == ("Joel Coen",)
    assert parse_directors("[{'name': ' '}, {'name': 'Joel Coen'}]") == ("Joel Coen",)


@pytest.mark.parametrize(
    "cell", ["[{'name': 'Joel Coen'}", "[{'id': 18}]", "[{'name': None}]", "[18]", "[" * 9000]
)
def test_a_damaged_list_of_people_is_rejected(cell):
    with pytest.raises(ValueError):
        parse_directors(cell)


def test_only_directors_of_a_crew_are_read():
    crew = [
        {"job": "Producer", "name": "Bonnie Arnold"},
        {"job": "Director", "name": "John Lasseter"},
        {"job": "Director of Photography", "name": "Roger Deakins"},
    ]
    assert parse_crew_directors(repr(crew)) == ("John Lasseter",)
    with pytest.raises(ValueError, match="without a job"):
        parse_crew_directors("John Lasseter, Roger Deakins")


def test_the_first_three_actors_by_order_are_leading():
    cast = [{"name": name, "order": "ABCD".index(name)} for name in "DACB"]
    assert parse_leading_actors(repr(cast)) == ("A", "B", "C")
    assert parse_leading_actors("D, A, C, B") == ("D", "A", "C")


def test_an_actor_of_two_characters_is_one_of_the_leading_actors_once():
    cast = [{"name": name, "order": order} for order, name in enumerate("AABCD")]
    assert parse_leading_actors(json.dumps(cast)) == ("A", "B", "C")


def test_a_cast_of_hundreds_is_read():
    cast = [{"name": f"Actor {n}", "order": n, "profile_path": None} for n in range(600)]
    assert len(repr(cast)) > 30_000
    assert parse_leading_actors(repr(cast)) == ("Actor 0", "Actor 1", "Actor 2")


def test_people_are_directors_then_leading_actors_each_once():
    cells = {
        "cast": "Diane Keaton, Woody Allen, Tony Roberts",
        "crew": "[{'job': 'Director', 'name': 'Marshall Brickman'}]",
        "director": "Woody Allen",
    }
    assert read_people(cells) == (
        "Woody Allen",
        "Marshall Brickman",
        "Diane Keaton",
        "Tony Roberts",
    )


def test_an_unreadable_cell_counts_as_empty_in_a_source():
    cells = {"director": "[{'name': ", "cast": "Diane Keaton"}
    assert read_readable_people(cells) == ("Diane Keaton",)
    with pytest.raises(ValueError):
        read_people(cells)


@given(st.text() | st.text(alphabet="[]{}'\":,|ab1 "))
def test_any_text_is_parsed_or_raises_value_error(text):
    read_readable_people({"director": text, "crew": text, "cast": text})
    try:
        parse_credits(text)
    except ValueError:
        return


@given(st.lists(names, max_size=6))
def test_order_is_kept_and_duplicates_are_removed_in_every_form(people):
    distinct = tuple(dict.fromkeys(people))
    forms = [json.dumps(people), repr([{"name": name} for name in people]), "|".join(people)]
    assert {parse_directors(cell) for cell in [*forms, ",".join(people)]} == {distinct}
    assert parse_leading_actors(json.dumps(people)) == distinct[:3]


@given(st.permutations(range(6)))
def test_leading_actors_do_not_depend_on_the_order_of_the_list(orders):
    cast = [{"name": f"Actor {order}", "order": order} for order in orders]
    assert parse_leading_actors(repr(cast)) == ("Actor 0", "Actor 1", "Actor 2")
