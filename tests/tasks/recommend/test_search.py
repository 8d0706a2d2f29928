import shutil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import DamagedVersionError, UserError
from tasks.core.text import fold
from tasks.recommend.catalogue import Catalogue, Filters
from tasks.recommend.index import publish_version
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import (
    Version,
    find_title,
    index_errors,
    load_version,
    similar_titles,
    sql_literal,
    unknown_title,
)
from tests.index_rows import TITLES, rows

CONFIG = RankConfig()


@pytest.fixture(scope="module")
def version(tmp_path_factory) -> Version:
    ref = publish_version(
        str(tmp_path_factory.mktemp("index") / "lancedb"), [rows(TITLES)], "run-1"
    )
    return load_version(ref.uri, ref.tag)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


@pytest.mark.parametrize("title", sorted(set(TITLES) - {"Cinderella"}))
def test_every_title_is_found_again(version, title):
    (found,) = find_title(version, title).movies
    assert found["title"] == title


@pytest.mark.parametrize("typed", ["alien", "ALIEN", " Alien ", "amelie", "Amelie!", "toy-story"])
def test_case_accents_and_punctuation_do_not_matter(version, typed):
    (found,) = find_title(version, typed).movies
    assert fold(found["title"]) == fold(typed)


def test_remakes_are_told_apart_by_year(version):
    assert [movie["year"] for movie in find_title(version, "Cinderella").movies] == [1950, 2015]
    assert [movie["id"] for movie in find_title(version, "cinderella", 2015).movies] == [5]
    assert [movie["id"] for movie in find_title(version, "Cinderella (1950)").movies] == [4]


def test_a_mistyped_title_gets_suggestions(version):
    found, suggestions = find_title(version, "toy stry")
    assert found == []
    assert suggestions[0]["title"] == "Toy Story"
    message = str(unknown_title("toy stry", suggestions))
    assert message.startswith("No movie is called 'toy stry'. Did you mean: Toy Story (1984)")


def test_a_title_near_nothing_gets_no_suggestion(version):
    assert find_title(version, "zzz") == ([], [])
    assert str(unknown_title("zzz", [])) == "No movie is called 'zzz'."


@given(st.text(max_size=30))
def test_quoting_leaves_no_single_quote_open(text):
    literal = sql_literal(text)
    assert literal[1:-1].replace("''", "") == text.replace("'", "")


def test_an_opened_version_answers_after_its_table_was_deleted(tmp_path):
    ref = publish_version(str(tmp_path / "lancedb"), [rows(TITLES)], "run-1")
    opened = load_version(ref.uri, ref.tag)
    shutil.rmtree(tmp_path / "lancedb")
    (movie,) = find_title(opened, "alien").movies
    assert movie["title"] == "Alien"
    assert opened.catalogue.movie(0)["overview"] == "Story 0 of Alien."
    assert find_title(opened, "toy stry") == ([], [])
    assert similar_titles(opened, "toy stry") == []


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
def test_a_fault_that_may_pass_is_no_damage(uri, error, kind):
    """What is taken for damaged is passed over: a sound champion must not be."""
    with pytest.raises(kind), index_errors(uri, "run-1"):
        raise error


def test_lists_are_best_first_without_the_query(catalogue):
    hits = catalogue.rank(catalogue.features_of([0]), [0], 5, CONFIG)
    assert len(hits) == 5
    assert 0 not in [hit.row for hit in hits]
    assert [hit.score for hit in hits] == sorted([hit.score for hit in hits], reverse=True)


def test_copies_are_listed_once(catalogue):
    """The same table twice, the second half under other ids: every movie has a copy."""
    table = rows(TITLES)
    ids = pa.array([movie + 100 for movie in table["id"].to_pylist()])
    twice = pa.concat_tables([table, table.set_column(1, "id", ids)])
    double = Catalogue(twice)
    hits = double.rank(double.features_of([0]), [0], 50, CONFIG)
    assert len(hits) == len(TITLES) - 1
    assert {hit.row % len(TITLES) for hit in hits} == set(range(1, len(TITLES)))


def test_several_queries_are_answered_by_their_mean(catalogue):
    both = catalogue.rank(catalogue.features_of([0, 1]), [0, 1], 3, CONFIG)
    one, two = (catalogue.rank(catalogue.features_of([row]), [row], 99, CONFIG) for row in (0, 1))
    scores = [{hit.row: hit.score for hit in hits} for hits in (one, two)]
    for hit in both:
        assert hit.score == pytest.approx((scores[0][hit.row] + scores[1][hit.row]) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({"genre": ["horror"]}, lambda movie: "Horror" in movie["genres"]),
        ({"not_genre": ["Horror"]}, lambda movie: "Horror" not in movie["genres"]),
        ({"from_year": 1985, "to_year": 1990}, lambda movie: 1985 <= movie["year"] <= 1990),
        ({"language": "fr"}, lambda movie: movie["language"] == "fr"),
        ({"genre": ["War"], "language": "en"}, lambda movie: "War" in movie["genres"]),
    ],
)
def test_filters_hold(catalogue, filters, passes):
    allowed = catalogue.filter_mask(Filters.model_validate(filters, by_name=True))
    hits = catalogue.rank(catalogue.features_of([0]), [0], 99, CONFIG, allowed)
    assert hits
    assert all(passes(catalogue.movie(hit.row)) for hit in hits)
    assert len(hits) == np.sum(allowed) - int(allowed[0])


def test_no_filter_lets_all_pass(catalogue):
    assert catalogue.filter_mask(Filters()) is None


@pytest.mark.parametrize("genre", ["Nonsense", "' OR 1=1 --", "%"])
def test_a_genre_that_no_movie_has_is_named(catalogue, genre):
    with pytest.raises(UserError, match="There are: Horror, War"):
        catalogue.filter_mask(Filters(genre=[genre]))


def test_an_explanation_names_words_and_adds_up(catalogue):
    queries = catalogue.features_of([0])
    hit = next(hit for hit in catalogue.rank(queries, [0], 99, CONFIG) if hit.row == 4)
    why = catalogue.explain(queries, hit, CONFIG)
    assert why["words"] == ["word0", "story"]
    assert sum(why["shares"].values()) == pytest.approx(hit.score, abs=1e-6)
