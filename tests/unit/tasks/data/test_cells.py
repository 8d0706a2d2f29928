import pytest

from tasks.data.cells import (
    clean_text,
    content_id,
    is_missing,
    overview_problem,
    parse_count,
    parse_id,
    parse_imdb_id,
    parse_number_id,
    parse_year,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("862", "862"), ("862.0", "862"), (" 0862 ", "862"), ("tt0076759", None)],
        *[("0", "0"), ("000", "0"), ("1997-08-20", None), ("-5", None), ("٣", None), ("", None)],
    ],
)
def test_a_number_id_is_a_whole_number_in_digits(text, expected):
    assert parse_number_id(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("862.0", "862"), (" tt0076759 ", "tt0076759"), ("s\u00a012", "s 12"), ("0", "0")],
        *[("N/A", None), (" ", None), ("x" * 101, None), ("x" * 100, "x" * 100)],
    ],
)
def test_any_short_text_is_an_id(text, expected):
    assert parse_id(text) == expected


def test_an_id_of_content_never_changes():
    assert content_id("Alien\n1979\nA ship.") == "fbab47e25c8daa02"
    assert content_id("Alien\n1979\nA ship!") != content_id("Alien\n1979\nA ship.")


@pytest.mark.parametrize(
    ("text", "year"),
    [
        *[("1995-10-30", 1995), ("1995", 1995), ("1995.0", 1995), ("19951030", 1995)],
        *[("10/30/1995", 1995), ("30.10.1995", 1995), ("October 30, 1995", 1995)],
        *[("(1995)", 1995), ("30 oct. 1995 (USA)", 1995), ("1995–1999", 1995)],
        *[("1995-10-30T00:00:00Z", 1995), ("5/25/77", 1977), ("25.05.04", 2004)],
        *[("", None), ("0000-01-01", None), ("19959999", None), ("18-30", None), ("NA", None)],
    ],
)
def test_the_year_of_a_date_of_any_usual_form(text, year):
    assert parse_year(text) == year


@pytest.mark.parametrize(
    ("text", "expected"),
    [("tt0114709", "tt0114709"), (" tt1 ", "tt1"), ("0", None), ("tt", None), ("tt٣", None)],
)
def test_an_imdb_id_is_tt_and_digits(text, expected):
    assert parse_imdb_id(text) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [("5415.0", 5415), ("7", 7), ("1,234,567", 1234567), ("", None), ("many", None), ("1,2", None)],
)
def test_counts_can_be_floats_have_thousands_or_be_missing(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text", ["NA", "n/a", "<NA>", "NaN", "None", "null", r"\N", "#N/A", "#NAME?", "-", "TBD", " "]
)
def test_usual_marks_of_a_missing_value_are_missing(text):
    assert is_missing(text)


def test_control_characters_and_line_breaks_become_spaces():
    assert clean_text("\x00null\nbyte  ") == "null byte"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<p>A ghost.</p><br />Two &amp; three", "A ghost. Two & three"),
        ("&lsquo;Don&#39;t&rsquo; &amp;quot;go&amp;quot;&nbsp;on", '‘Don\'t’ "go" on'),
        ("Amélie", "Amélie"),
        ("Am\u0065\u0301lie", "Amélie"),
        ("AmÃ©lie and the cafÃ©", "Amélie and the café"),
        ("a <b and c> d", "a <b and c> d"),
        ("I <3 you & me", "I <3 you & me"),
        ("AT&T; R&D", "AT&T; R&D"),
    ],
)
def test_html_and_mojibake_are_removed_and_letters_composed(text, clean):
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "missing_overview"),
        ("N/A", "missing_overview"),
        ("No overview found.", "placeholder_overview"),
        ("Plot unknown.", "placeholder_overview"),
        ("a b c 1234", "placeholder_overview"),
        ("A ghost.", None),
        ("千と千尋", None),
        ("भूत", None),
    ],
)
def test_an_overview_needs_a_word(text, problem):
    assert overview_problem(text) == problem
