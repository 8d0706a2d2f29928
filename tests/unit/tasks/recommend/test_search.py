import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import DamagedVersionError
from tasks.core.text import fold
from tasks.recommend.index import publish_version
from tasks.recommend.search import (
    Version,
    find_title,
    index_errors,
    load_version,
    similar_titles,
    sql_literal,
    unknown_title,
)
from tests.support.index_rows import TITLES, rows


@pytest.fixture(scope="module")
def version(tmp_path_factory) -> Version:
    uri = str(tmp_path_factory.mktemp("index") / "lancedb")
    publish_version(uri, [rows(TITLES)], "run-1")
    return load_version(uri, "run-1")


@pytest.mark.parametrize("title", sorted(set(TITLES) - {"Cinderella"}))
def test_every_title_is_matched_exactly(version, title):
    (movie,) = find_title(version, title).movies
    assert movie["title"] == title


@pytest.mark.parametrize("typed", ["alien", "ALIEN", " Alien ", "amelie", "Amelie!", "toy-story"])
def test_case_accents_and_punctuation_are_ignored(version, typed):
    (movie,) = find_title(version, typed).movies
    assert fold(movie["title"]) == fold(typed)


def test_a_year_selects_among_movies_of_equal_title(version):
    assert [movie["year"] for movie in find_title(version, "Cinderella").movies] == [1950, 2015]
    assert [movie["id"] for movie in find_title(version, "cinderella", 2015).movies] == ["5"]
    assert [movie["id"] for movie in find_title(version, "Cinderella (1950)").movies] == ["4"]


def test_a_mistyped_title_gets_suggestions(version):
    movies, _, suggestions = find_title(version, "toy stry")
    assert movies == []
    assert suggestions[0]["title"] == "Toy Story"
    message = str(unknown_title("toy stry", suggestions))
    assert message.startswith("No movie is called 'toy stry'. Did you mean: Toy Story (1984)")


def test_a_title_like_no_other_gets_no_suggestion(version):
    assert find_title(version, "zzz") == ([], [], [])
    assert str(unknown_title("zzz", [])) == "No movie is called 'zzz'."


@given(st.text(max_size=30))
def test_a_sql_literal_contains_no_unescaped_quote(text):
    literal = sql_literal(text)
    assert literal[1:-1].replace("''", "") == text.replace("'", "")


def test_an_opened_version_answers_after_its_table_was_deleted(tmp_path):
    index = publish_version(str(tmp_path / "lancedb"), [rows(TITLES)], "run-1")
    version = load_version(index.uri, index.tag)
    shutil.rmtree(tmp_path / "lancedb")
    (movie,) = find_title(version, "alien").movies
    assert movie["title"] == "Alien"
    assert version.catalogue.movie(0)["overview"] == "Story 0 of Alien."
    assert find_title(version, "toy stry") == ([], [], [])
    assert similar_titles(version, "toy stry") == []


@pytest.mark.parametrize(
    ("uri", "error", "kind"),
    [
        ("/root", ValueError("Table 'run-1' was not found"), DamagedVersionError),
        ("/root", RuntimeError("lance error: Not found: data/1.lance"), DamagedVersionError),
        ("/root", RuntimeError("lance error: Invalid user input: bad magic"), DamagedVersionError),
        ("s3://b", ValueError("Table 'run-1' was not found"), DamagedVersionError),
        ("s3://b", ValueError("Failed to connect to namespace: RetryError"), OSError),
        ("/root", PermissionError(13, "Permission denied"), OSError),
        ("/root", RuntimeError("lance error: Too many open files (os error 24)"), OSError),
    ],
)
def test_a_transient_fault_does_not_count_as_damage(uri, error, kind):
    """A damaged champion is skipped, so an intact one must not be taken for damaged."""
    with pytest.raises(kind), index_errors(uri, "run-1"):
        raise error
