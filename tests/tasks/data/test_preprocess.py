import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.compute import Compute
from tasks.core.contracts import DOCUMENTS, MOVIES, DocumentsRef
from tasks.core.storage import store
from tasks.data.preprocess import (
    TextConfig,
    add_bigrams,
    assign_split,
    blog_tokens,
    build_document,
    check_documents,
    content_tokens,
    genre_dependent_ids,
    keys_shared_with_test,
    normalize_overview,
    to_documents,
)

PLAIN = TextConfig(pairs=False)


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
    assert table["document"].to_pylist() == ["ghost ship alien ghost_ship ship_alien"]


def test_keywords_enter_only_when_asked():
    table = to_documents(movies({}), TextConfig(keywords=True, pairs=False))
    assert table["document"].to_pylist() == ["ghost ship alien haunted ship"]


def test_words_become_stems_and_pairs_of_neighbours():
    assert add_bigrams(["haunted", "ships", "sailing"]) == [
        *("haunt", "ship", "sail"),
        *("haunt_ship", "ship_sail"),
    ]
    assert add_bigrams(["haunting"]) == ["haunt"]


def split_documents(*rows: dict) -> pa.Table:
    """Documents with a split of one's own choice."""
    known = [{key: value for key, value in row.items() if key != "split"} for row in rows]
    table = to_documents(movies(*known), PLAIN)
    at = table.column_names.index("split")
    return table.set_column(at, "split", pa.array([row["split"] for row in rows]))


def test_what_test_and_training_share_is_found():
    apart = split_documents(
        {"id": 1, "overview": "One.", "split": "train"},
        {"id": 2, "overview": "Two.", "split": "test"},
    )
    assert keys_shared_with_test(apart) == []
    same_text = split_documents(
        {"id": 1, "overview": "The same, twice.", "split": "validation"},
        {"id": 2, "overview": "the SAME twice", "split": "test"},
    )
    assert keys_shared_with_test(same_text) == ["the same twice"]
    same_id = split_documents(
        {"id": 7, "overview": "One.", "split": "train"},
        {"id": 7, "overview": "Two.", "split": "test"},
    )
    assert keys_shared_with_test(same_id) == ["None/7"]


def test_a_genre_that_got_into_a_document_is_found():
    clean_text = to_documents(movies({"genres": ["Horror"]}), PLAIN)
    assert genre_dependent_ids(clean_text, PLAIN) == []
    leaky = to_documents(movies({"id": 5, "genres": ["Horror"]}), TextConfig(recipe="blog"))
    assert genre_dependent_ids(leaky, TextConfig(recipe="blog")) == [5]
    at = clean_text.column_names.index("document")
    added = clean_text.set_column(at, "document", pa.array(["ghost ship alien horror"]))
    assert genre_dependent_ids(added, PLAIN) == [1]


def test_a_genre_word_that_the_overview_holds_is_no_leak():
    own = to_documents(movies({"overview": "A horror story.", "genres": ["Horror"]}), PLAIN)
    assert genre_dependent_ids(own, PLAIN) == []


@pytest.mark.parametrize(
    ("document", "overviews", "message"),
    [
        ("ghost ship alien horror", ["One.", "A ghost on a ship."], "genres of movie 1 and others"),
        ("ghost ship alien", ["A ghost on a ship."] * 2, "1 ids or overviews are in test and in"),
    ],
)
def test_a_leak_stops_the_run(artifacts, document, overviews, message):
    table = split_documents(
        {"id": 2, "overview": overviews[0], "split": "train"},
        {"id": 1, "overview": overviews[1], "split": "test"},
    )
    at = table.column_names.index("document")
    leaky = table.set_column(at, "document", pa.array(["ghost", document]))
    ref = store.get_or_create(
        "d", [1], DocumentsRef, lambda writer: writer.table_ref(DocumentsRef, "d", leaky)
    )
    with pytest.raises(ValueError, match=message):
        check_documents.fn(ref, PLAIN, Compute())


def test_the_blog_recipe_puts_genres_in_the_text():
    tokens = blog_tokens("Alien", "A ghost. On a ship.", ["Horror", "War"])
    assert " ".join(tokens) == (
        "overview : a ghost . on a ship . genres : horror , war title : alien"
    )


def test_a_re_listed_copy_falls_in_the_same_split():
    first, copy = "A man, a plan.", "  a MAN — a plan! "
    assert normalize_overview(first) == normalize_overview(copy)
    assert assign_split(first, 0.1, 0.1) == assign_split(copy, 0.1, 0.1)


def test_splits_have_about_the_asked_shares_and_never_move():
    splits = [assign_split(f"overview number {n}", 0.1, 0.2) for n in range(4000)]
    assert abs(splits.count("test") / 4000 - 0.2) < 0.02
    assert abs(splits.count("validation") / 4000 - 0.1) < 0.02
    assert [assign_split(f"overview number {n}", 0.1, 0.1) for n in (0, 3, 16)] == [
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


@pytest.mark.parametrize("config", [TextConfig(keywords=True), TextConfig()])
def test_a_question_s_document_is_that_of_training(config):
    """Training makes a table of documents, a question a single one: with keywords and without."""
    table = movies({"title": "The Ranch", "keywords": ["haunted house", "sheriff"]})
    (stored,) = to_documents(table, config)["document"].to_pylist()
    (movie,) = table.to_pylist()
    texts = movie["title"], movie["overview"]
    assert build_document(*texts, config, keywords=movie["keywords"]) == stored
    assert ("sheriff" in stored.split()) == config.keywords
