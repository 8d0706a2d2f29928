import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.compute import Compute
from tasks.core.contracts import DOCUMENTS, MOVIES, MoviesRef, SplitsRef
from tasks.core.documents import title_words_of, tokens_of
from tasks.core.storage import store
from tasks.data.cells import clean_text
from tasks.data.preprocess import (
    TextConfig,
    add_bigrams,
    blog_tokens,
    build_document,
    build_documents,
    content_tokens,
    preprocess_chunk,
    to_documents,
)
from tasks.data.splits import split_of_overview
from tests.support.stored import stored_table

PLAIN = TextConfig(pairs=False)
FORMS = ("NFC", "NFD")


def movies(*rows: dict) -> pa.Table:
    defaults = {
        "id": "1",
        "title": "Alien",
        "overview": "A ghost on a ship.",
        "genres": ["Horror"],
        "keywords": ["Haunted Ship"],
        "row": 1,
    }
    return pa.Table.from_pylist([defaults | row for row in rows], MOVIES)


def test_content_is_words_of_overview_and_title_without_stop_words():
    assert content_tokens("Toy Story", "The toys of Andy’s room aren't alive!", PLAIN) == [
        "toys",
        "andy's",
        "room",
        "aren't",
        "alive",
        "toy",
        "story",
    ]


def test_words_have_two_letters_or_more():
    assert content_tokens("X", "An ox", PLAIN) == ["ox"]
    french = "Il est perdu dans la forêt avec les loups et ne sait pas où il va."
    assert content_tokens("Le Loup", french, PLAIN) == ["perdu", "forêt", "loups", "loup"]


def test_a_text_of_stop_words_alone_keeps_its_words():
    assert content_tokens("It", "He is the one.", PLAIN) == ["he", "is", "the", "one", "it"]


def test_genres_are_not_part_of_the_content_recipe():
    documents = build_documents(movies({"genres": ["Drama", "Western"]}), TextConfig())
    assert documents == ["ghost ship alien ghost_ship ship_alien\talien"]


def test_keywords_are_added_only_if_configured():
    documents = build_documents(movies({}), TextConfig(keywords=True, pairs=False))
    assert documents == ["ghost ship alien haunted ship\talien"]


def test_all_words_of_the_title_stand_once_more_behind_the_tokens():
    document = build_document("The Aliens", "A ghost.", TextConfig())
    assert document == "ghost alien ghost_alien\tthe aliens"
    assert (tokens_of(document), title_words_of(document)) == (
        ["ghost", "alien", "ghost_alien"],
        ["the", "aliens"],
    )
    without_title = build_document("", "A ghost.", TextConfig())
    assert (without_title, title_words_of(without_title)) == ("ghost", [])


def test_words_become_stems_and_bigrams():
    assert content_tokens("Sailing", "The haunted ships", TextConfig()) == [
        *("haunt", "ship", "sail"),
        *("haunt_ship", "ship_sail"),
    ]
    assert add_bigrams(["haunt"]) == ["haunt"]


def test_equal_stories_in_composed_and_decomposed_letters_have_equal_documents():
    rows = [{"overview": clean_text(unicodedata.normalize(f, "Amélie à Orléans"))} for f in FORMS]
    first, second = build_documents(movies(*rows), PLAIN)
    assert first == second
    assert split_of_overview(rows[0]["overview"], PLAIN) == split_of_overview(
        rows[1]["overview"], PLAIN
    )


def test_words_of_a_dictionary_are_those_of_text_and_keywords():
    """Keywords follow the text; `警察` are two letters, `侦探` too, but `天安门` are three."""
    movie = {"title": "天安门", "overview": "警察找到侦探", "keywords": ["天安门"]}
    config = TextConfig(pairs=False, keywords=True, segmenter="dictionary")
    (document,) = build_documents(movies(movie), config)
    assert tokens_of(document) == ["警察", "找到", "侦探", "天安门", "天安门"]
    assert title_words_of(document) == ["天安门"]
    pairs = config.model_copy(update={"segmenter": "pairs"})
    (document,) = build_documents(movies(movie), pairs)
    assert tokens_of(document)[-4:] == ["天安", "安门", "天安", "安门"]
    assert title_words_of(document) == ["天安", "安门"]


def test_a_dictionary_that_is_not_installed_is_refused_with_the_command_for_it(monkeypatch):
    monkeypatch.setattr("tasks.data.preprocess.find_spec", lambda _: None)
    assert TextConfig(segmenter="pairs").segmenter == "pairs"
    with pytest.raises(ValidationError, match=r"\.venv/bin/python -m pip install icu4py"):
        TextConfig(segmenter="dictionary")


def test_documents_of_a_chunk_are_stored_under_its_name(artifacts):
    table = movies({"id": "5"})
    chunk = stored_table(MoviesRef, table)
    splits = stored_table(SplitsRef, pa.table({"split": ["gate"]}))
    ref = preprocess_chunk.fn(chunk, splits, PLAIN, Compute())
    assert (ref.name, ref.rows) == (chunk.name, 1)
    assert store.read(ref).equals(to_documents(table, ["gate"], PLAIN))


def test_the_blog_recipe_includes_genres():
    tokens = blog_tokens("Alien", "A ghost. On a ship.", ["Horror", "War"])
    assert " ".join(tokens) == (
        "overview : a ghost . on a ship . genres : horror , war title : alien"
    )


def test_a_document_of_the_blog_recipe_is_the_text_of_the_post():
    document = build_document("Alien", "A ghost.", TextConfig(recipe="blog"), genres=["War"])
    assert document == "overview : a ghost . genres : war title : alien"


@given(st.text(min_size=1), st.text(min_size=1))
def test_tokens_of_any_text_contain_no_white_space(title, overview):
    movie = movies({"title": title, "overview": overview})
    table = to_documents(movie, ["train"], TextConfig())
    assert table.schema == DOCUMENTS
    document = table["document"][0].as_py()
    tokens, _, words = document.partition("\t")
    assert tokens_of(document) == tokens.split(" ") or tokens == ""
    assert title_words_of(document) == words.split(" ") or words == ""
    assert table["split"][0].as_py() in ("train", "validation", "test")


@pytest.mark.parametrize("config", [TextConfig(keywords=True), TextConfig()])
def test_a_query_has_the_same_document_as_training(config):
    """Training builds a table of documents, a query a single one; with and without keywords."""
    table = movies({"title": "The Ranch", "keywords": ["haunted house", "sheriff"]})
    (stored,) = build_documents(table, config)
    (movie,) = table.to_pylist()
    texts = movie["title"], movie["overview"]
    assert build_document(*texts, config, keywords=movie["keywords"]) == stored
    assert ("sheriff" in tokens_of(stored)) == config.keywords
