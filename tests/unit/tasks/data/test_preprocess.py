import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.compute import Compute
from tasks.core.contracts import DOCUMENTS, MOVIES, DocumentsRef, MoviesRef
from tasks.core.storage import store
from tasks.data.cells import clean_text
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
    preprocess,
    require_held_out,
    to_documents,
)
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
    table = to_documents(movies({"genres": ["Drama", "Western"]}), TextConfig())
    assert table["document"].to_pylist() == ["ghost ship alien ghost_ship ship_alien"]


def test_keywords_are_added_only_if_configured():
    table = to_documents(movies({}), TextConfig(keywords=True, pairs=False))
    assert table["document"].to_pylist() == ["ghost ship alien haunted ship"]


def test_words_become_stems_and_bigrams():
    assert content_tokens("Sailing", "The haunted ships", TextConfig()) == [
        *("haunt", "ship", "sail"),
        *("haunt_ship", "ship_sail"),
    ]
    assert add_bigrams(["haunt"]) == ["haunt"]


def test_equal_stories_in_composed_and_decomposed_letters_have_equal_documents():
    rows = [{"overview": clean_text(unicodedata.normalize(f, "Amélie à Orléans"))} for f in FORMS]
    first, second = to_documents(movies(*rows), PLAIN).to_pylist()
    assert (first["document"], first["split"]) == (second["document"], second["split"])


def test_words_of_a_dictionary_are_those_of_text_and_keywords():
    """Keywords follow the text; `警察` are two letters, `侦探` too, but `天安门` are three."""
    movie = {"title": "天安门", "overview": "警察找到侦探", "keywords": ["天安门"]}
    config = TextConfig(pairs=False, keywords=True, segmenter="dictionary")
    (document,) = to_documents(movies(movie), config)["document"].to_pylist()
    assert document.split() == ["警察", "找到", "侦探", "天安门", "天安门"]
    pairs = config.model_copy(update={"segmenter": "pairs"})
    (document,) = to_documents(movies(movie), pairs)["document"].to_pylist()
    assert document.split()[-4:] == ["天安", "安门", "天安", "安门"]


def test_a_dictionary_that_is_not_installed_is_refused_with_the_command_for_it(monkeypatch):
    monkeypatch.setattr("tasks.data.preprocess.find_spec", lambda _: None)
    assert TextConfig(segmenter="pairs").segmenter == "pairs"
    with pytest.raises(ValidationError, match=r"\.venv/bin/python -m pip install icu4py"):
        TextConfig(segmenter="dictionary")


def test_documents_of_a_chunk_are_stored_under_its_name(artifacts):
    table = movies({"id": "5"})
    chunk = stored_table(MoviesRef, table)
    ref = preprocess.fn(chunk, PLAIN, Compute())
    assert (ref.name, ref.rows) == (chunk.name, 1)
    assert store.read(ref).equals(to_documents(table, PLAIN))


def split_documents(*rows: dict) -> pa.Table:
    """Documents whose rows have the splits that a test chooses."""
    values = [{key: value for key, value in row.items() if key != "split"} for row in rows]
    table = to_documents(movies(*values), PLAIN)
    return replace_column(table, "split", [row["split"] for row in rows])


def replace_column(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_ids_and_overviews_shared_with_test_are_detected():
    disjoint = split_documents(
        {"id": "1", "overview": "One.", "split": "train"},
        {"id": "2", "overview": "Two.", "split": "test"},
    )
    assert keys_shared_with_test(disjoint) == []
    same_text = split_documents(
        {"id": "1", "overview": "The same, twice.", "split": "validation"},
        {"id": "2", "overview": "the SAME twice", "split": "test"},
    )
    assert keys_shared_with_test(same_text) == ["the same twice"]
    same_id = split_documents(
        {"id": "7", "overview": "One.", "split": "train"},
        {"id": "7", "overview": "Two.", "split": "test"},
    )
    assert keys_shared_with_test(same_id) == ["None/7"]


def test_a_genre_in_a_document_is_detected():
    documents = to_documents(movies({"genres": ["Horror"]}), PLAIN)
    assert genre_dependent_ids(documents, PLAIN) == []
    leaky = to_documents(movies({"id": "5", "genres": ["Horror"]}), TextConfig(recipe="blog"))
    assert genre_dependent_ids(leaky, TextConfig(recipe="blog")) == ["5"]
    with_genre = replace_column(documents, "document", ["ghost ship alien horror"])
    assert genre_dependent_ids(with_genre, PLAIN) == ["1"]


def test_a_genre_word_in_the_overview_is_not_leakage():
    documents = to_documents(movies({"overview": "A horror story.", "genres": ["Horror"]}), PLAIN)
    assert genre_dependent_ids(documents, PLAIN) == []


@pytest.mark.parametrize(
    ("document", "overviews", "message"),
    [
        (
            "ghost ship alien horror",
            ["One.", "A ghost on a ship."],
            "documents of movie 1",
        ),
        ("ghost ship alien", ["A ghost on a ship."] * 2, "1 ids or overviews are in test and in"),
    ],
)
def test_leakage_stops_the_run(artifacts, document, overviews, message):
    table = split_documents(
        {"id": "2", "overview": overviews[0], "split": "train"},
        {"id": "1", "overview": overviews[1], "split": "test"},
    )
    leaky = replace_column(table, "document", ["ghost", document])
    ref = store.get_or_create(
        "d", [1], DocumentsRef, lambda writer: writer.table_ref(DocumentsRef, "d", leaky)
    )
    with pytest.raises(ValueError, match=message):
        check_documents.fn(ref, PLAIN, Compute())


def test_documents_of_the_blog_recipe_may_contain_genres(artifacts):
    """On purpose; shared overviews are refused for it too."""
    blog = TextConfig(recipe="blog")
    table = to_documents(
        movies({"id": "1", "overview": "One."}, {"id": "2", "overview": "Two."}), blog
    )
    held_out = replace_column(table, "split", ["train", "test"])
    require_held_out(stored_table(DocumentsRef, held_out), blog)
    with pytest.raises(ValueError, match="documents of movie 2 and others contain their genres"):
        require_held_out(stored_table(DocumentsRef, held_out), PLAIN)
    same_ids = replace_column(held_out, "id", ["1", "1"])
    with pytest.raises(ValueError, match="1 ids or overviews are in test and in training"):
        require_held_out(stored_table(DocumentsRef, same_ids), blog)


def test_genres_in_documents_of_training_movies_do_not_stop_a_run(artifacts):
    table = split_documents(
        {"id": "1", "overview": "One.", "split": "train"},
        {"id": "2", "overview": "Two.", "split": "test"},
    )
    leaky = replace_column(table, "document", ["horror", table["document"][1].as_py()])
    require_held_out(stored_table(DocumentsRef, leaky), PLAIN)


def test_ids_of_two_sources_are_not_shared():
    table = split_documents(
        {"id": "7", "source": "a", "overview": "One.", "split": "train"},
        {"id": "7", "source": "b", "overview": "Two.", "split": "test"},
    )
    assert keys_shared_with_test(table) == []


@pytest.mark.parametrize(
    ("test_share", "validation_share", "split"),
    [
        (0.045, 0.1, "test"),
        (0.044, 0.1, "validation"),
        (0.04, 0.005, "validation"),
        (0.04, 0.004, "train"),
    ],
)
def test_the_position_of_an_overview_decides_its_split(test_share, validation_share, split):
    """That of this one is 0.0443: first come test movies, then those of the validation split."""
    assert assign_split("overview number 16", validation_share, test_share) == split


def test_the_blog_recipe_includes_genres():
    tokens = blog_tokens("Alien", "A ghost. On a ship.", ["Horror", "War"])
    assert " ".join(tokens) == (
        "overview : a ghost . on a ship . genres : horror , war title : alien"
    )


def test_a_document_of_the_blog_recipe_is_the_text_of_the_post():
    document = build_document("Alien", "A ghost.", TextConfig(recipe="blog"), genres=["War"])
    assert document == "overview : a ghost . genres : war title : alien"


def test_duplicate_overviews_are_in_the_same_split():
    overview, duplicate = "A man, a plan.", "  a MAN — a plan! "
    assert normalize_overview(overview) == normalize_overview(duplicate)
    for number in range(30):
        splits = [assign_split(f"{text}{number}", 0.3, 0.3) for text in (overview, duplicate)]
        assert splits[0] == splits[1]


def test_splits_have_the_configured_shares_and_never_change():
    splits = [assign_split(f"overview number {n}", 0.1, 0.2) for n in range(4000)]
    assert abs(splits.count("test") / 4000 - 0.2) < 0.02
    assert abs(splits.count("validation") / 4000 - 0.1) < 0.02
    assert [assign_split(f"overview number {n}", 0.1, 0.1) for n in (0, 3, 16)] == [
        "validation",
        "train",
        "test",
    ]


@given(st.text(min_size=1), st.text(min_size=1))
def test_tokens_of_any_text_contain_no_white_space(title, overview):
    table = to_documents(movies({"title": title, "overview": overview}), TextConfig())
    assert table.schema == DOCUMENTS
    document = table["document"][0].as_py()
    assert document.split() == document.split(" ") or document == ""
    assert table["split"][0].as_py() in ("train", "validation", "test")


@pytest.mark.parametrize("config", [TextConfig(keywords=True), TextConfig()])
def test_a_query_has_the_same_document_as_training(config):
    """Training builds a table of documents, a query a single one; with and without keywords."""
    table = movies({"title": "The Ranch", "keywords": ["haunted house", "sheriff"]})
    (stored,) = to_documents(table, config)["document"].to_pylist()
    (movie,) = table.to_pylist()
    texts = movie["title"], movie["overview"]
    assert build_document(*texts, config, keywords=movie["keywords"]) == stored
    assert ("sheriff" in stored.split()) == config.keywords
