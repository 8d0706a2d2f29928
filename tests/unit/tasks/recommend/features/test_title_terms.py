import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.recommend.features.title_terms import MAIN, PREFIX, main_title, title_terms


@pytest.mark.parametrize(
    "title",
    [
        "Alien",
        "Aliens",
        "Alien 3",
        "The Alien",
        "ALIEN: Resurrection",
        "Alien II",
        "Alien Part IV",
        "Alien³",
    ],
)
def test_sequels_share_the_main_title(title):
    assert main_title(title) == "alien"
    assert title_terms(title)[0] == f"{MAIN}alien"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Rocky - The Final Bell", "rocky"),
        ("Star Wars: Episode IV - A New Hope", "star war"),
        ("Kill Bill Vol. 2", "kill bill"),
        ("Spider-Man 2", "spider man"),
        ("1917", "1917"),
        ("300: Rise of an Empire", "300"),
        ("2 Days in Paris", "2 day in pari"),
        ("The A", "a"),
        (": Untitled", "untitled"),
    ],
)
def test_a_main_title_has_no_subtitle_number_or_article(title, expected):
    assert main_title(title) == expected


def test_words_that_only_look_alike_are_different_terms():
    assert not set(title_terms("The Shining")) & set(title_terms("Shine"))


def test_long_titles_share_their_first_words():
    fellowship = title_terms("The Lord of the Rings The Fellowship")
    towers = title_terms("The Lord of the Rings The Two Towers")
    prefixes = {term for term in set(fellowship) & set(towers) if term.startswith(PREFIX)}
    assert prefixes == {"^lord of the ring", "^lord of the ring the"}


def test_first_words_count_if_two_of_them_are_no_filler():
    assert not [term for term in title_terms("Gone with the 3") if term.startswith(PREFIX)]
    assert f"{PREFIX}gone girl" in title_terms("Gone Girl")


def test_pairs_skip_fillers():
    assert "planet ape" in title_terms("Rise of the Planet of the Apes")


def test_single_words_are_those_that_identify_a_title():
    singles = [t for t in title_terms("The Kings of Rock 2") if t[0] not in MAIN + PREFIX]
    assert singles == ["king rock", "king", "rock"]


def test_a_short_word_and_a_double_s_keep_their_ending():
    assert main_title("Gas") == "gas"
    assert main_title("Princess") == "princess"


@given(st.text(min_size=1, max_size=30))
def test_every_title_has_a_main_title(title):
    assume(title.strip())
    assert main_title(title).strip()
    assert title_terms(title)[0] == MAIN + main_title(title)
