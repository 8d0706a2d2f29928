import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.text import fold, normalize_overview, title_words


@pytest.mark.parametrize(
    ("title", "folded"),
    [("Amélie", "amelie"), ("Toy-Story!", "toy story"), ("!!!", "!!!"), (" M ", "m")],
)
def test_titles_are_folded(title, folded):
    assert fold(title) == folded


@given(st.text(max_size=40))
def test_folding_twice_changes_nothing_more(title):
    assert fold(fold(title)) == fold(title)


def test_words_that_tell_no_title_apart_are_left_out():
    assert title_words("The Lord of the Rings") == ["lord", "rings"]
    assert title_words("Rocky II") == ["rocky"]
    assert title_words("It") == ["it"]
    assert title_words("The A") == ["the", "a"]


def test_re_listed_overviews_become_equal():
    assert normalize_overview(" A ghost, haunting! ") == normalize_overview("a GHOST haunting")
