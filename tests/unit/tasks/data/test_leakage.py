"""A run is stopped before its scores if they would not be held out."""

from typing import Any

import pyarrow as pa
import pytest

from tasks.core.compute import Compute
from tasks.core.contracts import MOVIES, DocumentsRef
from tasks.data.leakage import check_documents, genre_dependent_ids, require_held_out
from tasks.data.preprocess import TextConfig, to_documents
from tests.support.stored import stored_table

PLAIN = TextConfig(pairs=False)
BLOG = TextConfig(recipe="blog")
ROW = {
    **{"title": "Alien", "overview": "A ghost on a ship.", "genres": ["Horror"]},
    **{"keywords": ["Haunted Ship"], "row": 1},
}


def split_documents(*rows: dict[str, Any], config: TextConfig = PLAIN) -> pa.Table:
    """Documents of movies 1, 2, … whose rows have the splits that a test chooses."""
    splits = [row["split"] for row in rows]
    values = [
        ROW | {"id": str(number), "title": f"Film {number}"} | row
        for number, row in enumerate(rows, 1)
    ]
    movies = pa.Table.from_pylist(
        [{name: row.get(name) for name in MOVIES.names} for row in values], MOVIES
    )
    return to_documents(movies, splits, config)


def replace_column(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def require(documents: pa.Table, config: TextConfig = PLAIN) -> None:
    require_held_out(stored_table(DocumentsRef, documents), config)


@pytest.mark.parametrize("config", [PLAIN, BLOG])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"overview": "The same, twice."}, {"overview": "the SAME twice"}),
        (
            {"title": "The Alien!", "year": 1979, "overview": "One."},
            {"title": "the alien", "year": 1979, "overview": "Two."},
        ),
    ],
)
@pytest.mark.parametrize(
    "splits", [("train", "test"), ("validation", "gate"), ("gate", "test"), ("train", "validation")]
)
def test_a_film_in_two_splits_stops_the_run(first, second, splits, config):
    rows = [row | {"split": split} for row, split in zip((first, second), splits, strict=True)]
    with pytest.raises(ValueError, match="1 films, by title and year or overview, are in several"):
        require(split_documents(*rows, config=config), config)


def test_films_of_one_title_and_other_years_may_be_in_two_splits():
    require(
        split_documents(
            {"title": "A", "year": 1979, "overview": "One.", "split": "train"},
            {"title": "A", "year": 1980, "overview": "Two.", "split": "test"},
            {"title": "A", "overview": "Three.", "split": "train"},
            {"title": "A", "overview": "Four.", "split": "test"},
        )
    )


def test_a_genre_in_a_document_is_detected():
    documents = split_documents({"split": "test"})
    assert genre_dependent_ids(documents, PLAIN) == []
    leaky = split_documents({"id": "5", "split": "test"}, config=BLOG)
    assert genre_dependent_ids(leaky, BLOG) == ["5"]
    with_genre = replace_column(documents, "document", ["ghost ship alien horror"])
    assert genre_dependent_ids(with_genre, PLAIN) == ["1"]


def test_a_genre_word_in_the_overview_is_not_leakage():
    documents = split_documents({"overview": "A horror story.", "split": "test"})
    assert genre_dependent_ids(documents, PLAIN) == []


@pytest.mark.parametrize("split", ["test", "gate"])
def test_genres_in_the_texts_of_held_out_movies_stop_the_run(split):
    table = split_documents(
        {"overview": "One.", "split": "train"}, {"overview": "Two.", "split": split}
    )
    leaky = replace_column(table, "document", ["ghost", "ghost ship alien horror"])
    ref = stored_table(DocumentsRef, leaky)
    with pytest.raises(ValueError, match="documents of movie 2 and others contain their genres"):
        check_documents.fn(ref, PLAIN, Compute())


def test_genres_in_texts_of_training_movies_do_not_stop_a_run():
    table = split_documents(
        {"overview": "One.", "split": "train"}, {"overview": "Two.", "split": "test"}
    )
    require(replace_column(table, "document", ["horror", table["document"][1].as_py()]))


def test_documents_of_the_blog_recipe_may_contain_genres():
    """On purpose; films in two splits are refused for it too."""
    table = split_documents(
        {"overview": "One.", "split": "train"}, {"overview": "Two.", "split": "test"}, config=BLOG
    )
    require(table, BLOG)
    with pytest.raises(ValueError, match="documents of movie 2 and others contain their genres"):
        require(table)
