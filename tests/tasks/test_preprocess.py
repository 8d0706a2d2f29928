import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import DOCUMENTS, MOVIES
from tasks.preprocess import (
    TextConfig,
    blog_tokens,
    content_tokens,
    normalised,
    split_of,
    to_documents,
)


def movies(*rows: dict) -> pa.Table:
    blank = {
        "id": 1,
        "title": "Alien",
        "overview": "A ghost on a ship.",
        "genres": ["Horror"],
        "keywords": ["Haunted Ship"],
        "row": 1,
    }
    return pa.Table.from_pylist([blank | row for row in rows], MOVIES)


def test_content_is_words_of_overview_and_title_without_stop_words():
    assert content_tokens("Toy Story", "The toys of Andy’s room aren't alive!") == [
        "toys",
        "andy's",
        "room",
        "aren't",
        "alive",
        "toy",
        "story",
    ]


def test_a_text_of_stop_words_alone_keeps_them():
    assert content_tokens("It", "He is the one.") == ["he", "is", "the", "one", "it"]


def test_accents_and_other_scripts_are_words():
    assert content_tokens("千と千尋の神隠し", "Amélie à Orléans") == [
        "amélie",
        "orléans",
        "千と千尋の神隠し",
    ]


def test_genres_never_enter_the_content():
    table = to_documents(movies({"genres": ["Drama", "Western"]}), TextConfig())
    assert table["document"].to_pylist() == ["ghost ship alien"]


def test_keywords_enter_only_when_asked():
    table = to_documents(movies({}), TextConfig(keywords=True))
    assert table["document"].to_pylist() == ["ghost ship alien haunted ship"]


def test_the_blog_recipe_puts_genres_in_the_text():
    tokens = blog_tokens("Alien", "A ghost. On a ship.", ["Horror", "War"])
    assert " ".join(tokens) == (
        "overview : a ghost . on a ship . genres : horror , war title : alien"
    )


def test_a_re_listed_copy_falls_in_the_same_split():
    first, copy = "A man, a plan.", "  a MAN — a plan! "
    assert normalised(first) == normalised(copy)
    assert split_of(first, 0.1, 0.1) == split_of(copy, 0.1, 0.1)


def test_splits_have_about_the_asked_shares_and_never_move():
    splits = [split_of(f"overview number {n}", 0.1, 0.2) for n in range(4000)]
    assert abs(splits.count("test") / 4000 - 0.2) < 0.02
    assert abs(splits.count("validation") / 4000 - 0.1) < 0.02
    assert [split_of(f"overview number {n}", 0.1, 0.1) for n in (0, 3, 16)] == [
        "validation",
        "train",
        "test",
    ]


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_gives_documents_without_white_space_inside_tokens(title, overview):
    table = to_documents(movies({"title": title, "overview": overview}), TextConfig())
    assert table.schema == DOCUMENTS
    document = table["document"][0].as_py()
    assert document.split() == document.split(" ") or document == ""
    assert table["split"][0].as_py() in ("train", "validation", "test")
