import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.text import fold, normalize_overview, title_words


@pytest.mark.parametrize(
    ("title", "folded"),
    [("Amélie", "amelie"), ("Toy-Story!", "toy story"), ("!!!", "!!!"), (" M ", "m")],
)
def test_folding_removes_case_accents_and_punctuation(title, folded):
    assert fold(title) == folded


@given(st.text(max_size=40))
def test_folding_is_idempotent(title):
    assert fold(fold(title)) == fold(title)


def test_title_words_exclude_stop_words_unless_none_remain():
    assert title_words("The Lord of the Rings") == ["lord", "rings"]
    assert title_words("Rocky II") == ["rocky"]
    assert title_words("It") == ["it"]
    assert title_words("The A") == ["the", "a"]


def test_duplicate_overviews_normalize_to_equal_text():
    assert normalize_overview(" A ghost, haunting! ") == normalize_overview("a GHOST haunting")
