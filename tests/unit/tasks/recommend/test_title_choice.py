from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import IndexRef, UserError
from tasks.recommend.index import publish_version
from tasks.recommend.scoring import popularity_prior
from tasks.recommend.search import Version, load_version
from tasks.recommend.title_choice import (
    TitleChoice,
    best_known,
    example_title,
    other_meanings,
    resolve_title,
    similar_better_known,
    votes_plus_one,
)
from tests.support.index_rows import rows

OpenVersion = Callable[[dict[str, list[int]]], Version]


@pytest.fixture
def version_of(tmp_path) -> OpenVersion:
    """Publishes movies, by title the vote count of each; ids are 1, 2 …, years 1979, 1980 …."""

    def publish(votes_by_title: dict[str, list[int]]) -> Version:
        titles = [title for title, counts in votes_by_title.items() for _ in counts]
        votes = [count for counts in votes_by_title.values() for count in counts]
        table = rows(titles)
        years = pa.array(
            [1979 + row for row in range(len(titles))], table.schema.field("year").type
        )
        table = table.set_column(table.column_names.index("year"), "year", years)
        priors = pa.array(popularity_prior(votes, 0.1))
        table = table.set_column(table.column_names.index("votes"), "votes", priors)
        index = publish_version(str(tmp_path / "lancedb"), [table], "run-1")
        return load_version(index.uri, index.tag)

    return publish


def test_the_only_movie_with_a_title_is_taken(version_of):
    version = version_of({"Gravity": [5], "Alien": [900]})
    assert resolve_title(version, "gravity", None, None) == TitleChoice(0)


def test_the_example_is_the_best_known_movie_whose_title_is_its_own(tmp_path, version_of):
    votes = {"Gravity": [900, 5879], "-30-": [4000], "A\nB": [3000], "Hush": [9], "It's $1!": [70]}
    version_of(votes)
    assert example_title(IndexRef(uri=str(tmp_path / "lancedb"), tag="run-1", rows=6)) == "It's $1!"


def test_a_catalogue_of_equal_titles_has_no_example(tmp_path, version_of):
    version_of({"Gravity": [900, 5879]})
    assert example_title(IndexRef(uri=str(tmp_path / "lancedb"), tag="run-1", rows=2)) == ""


def test_the_clearly_best_known_movie_is_taken_and_the_others_are_named(version_of):
    version = version_of({"Gravity": [9, 5879]})
    row, note = resolve_title(version, "Gravity", None, None)
    assert row == 1
    assert note == (
        "Movies called 'Gravity': Gravity (1979), id 1; Gravity (1980), id 2. Took Gravity (1980)."
    )


@pytest.mark.parametrize("movie_id", [None, 9])
def test_an_ambiguous_title_is_an_error_that_lists_the_movies(version_of, movie_id):
    version = version_of({"Cinderella": [500, 900], "Gravity": [1]})
    with pytest.raises(UserError) as error:
        resolve_title(version, "Cinderella", None, movie_id)
    assert str(error.value) == (
        "Movies called 'Cinderella': Cinderella (1979), id 1; Cinderella (1980), id 2. "
        "Select one with --year or --id."
    )


def test_a_year_or_an_id_selects_without_a_note(version_of):
    version = version_of({"Gravity": [9, 5879], "The Gravity": [9999]})
    assert resolve_title(version, "Gravity", 1979, None) == TitleChoice(0)
    assert resolve_title(version, "Gravity (1979)", None, None) == TitleChoice(0)
    assert resolve_title(version, "Gravity", None, "1") == TitleChoice(0)


def test_accents_need_not_be_typed(version_of):
    version = version_of({"Les Miserables": [3], "Les Misérables": [4000]})
    assert resolve_title(version, "les miserables", None, None).row == 1


def test_punctuation_selects_and_the_other_spelling_is_named(version_of):
    version = version_of({"Hush!": [3], "Hush": [4000]})
    row, note = resolve_title(version, "hush!", None, None)
    assert row == 0
    assert "Hush (1980), id 2" in note
    assert resolve_title(version, "hush", None, None).row == 1


def test_an_id_selects_among_all_spellings(version_of):
    version = version_of({"Hush!": [3], "Hush": [4000]})
    assert resolve_title(version, "Hush", None, "1") == TitleChoice(0)


def test_a_better_known_movie_with_an_article_or_a_subtitle_is_named(version_of):
    version = version_of(
        {"Raid": [10], "The Raid": [1077], "Raid: Redemption": [500], "Raider": [9]}
    )
    row, note = resolve_title(version, "Raid", None, None)
    assert row == 0
    assert note == (
        "Took Raid (1979). Better known, with a similar title: The Raid (1980), id 2; "
        "Raid: Redemption (1981), id 3."
    )


def test_a_similar_title_that_is_not_better_known_is_not_named(version_of):
    version = version_of({"The Raid": [1077], "Raid": [10], "A Raid": [9999]})
    assert similar_better_known(version.catalogue, 0) == []
    assert resolve_title(version, "The Raid", None, None) == TitleChoice(0)


def test_other_meanings_are_namesakes_and_better_known_similar_titles_the_best_known_first(
    version_of,
):
    version = version_of({"Raid": [10, 40], "raid!": [20], "The Raid": [1077], "Raider": [9]})
    assert other_meanings(version.catalogue, 0) == [3, 1, 2]


def test_a_title_has_at_most_five_other_meanings(version_of):
    version = version_of({"Raid": [10, 40, 60, 20, 30, 50, 70, 80]})
    assert other_meanings(version.catalogue, 0) == [7, 6, 2, 5, 1]


def test_an_unknown_title_is_an_error_with_suggestions(version_of):
    version = version_of({"Gravity": [5]})
    with pytest.raises(UserError, match=r"No movie is called 'Gravty'\. Did you mean: Gravity"):
        resolve_title(version, "Gravty", None, None)


def test_without_votes_no_movie_is_better_known(version_of):
    catalogue = version_of({"Gravity": [0, 0]}).catalogue
    assert best_known(catalogue, [0, 1]) is None
    assert best_known(catalogue, [0]) == 0


def test_votes_are_read_from_the_popularity_prior(version_of):
    catalogue = version_of({"Gravity": [0, 9, 5879]}).catalogue
    assert np.array([votes_plus_one(catalogue, row) for row in range(3)]) == pytest.approx(
        [1, 10, 5880]
    )
