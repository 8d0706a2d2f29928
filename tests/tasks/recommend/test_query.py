from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.contracts import UserError
from tasks.recommend.index import publish_version
from tasks.recommend.query import (
    RecommendationRequest,
    query_from_movies,
    recommend,
    row_by_id,
    row_by_title,
    select_movie,
)
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import Version, load_version
from tests.index_rows import TITLES, rows

CINDERELLAS = [
    {"id": 6006, "title": "Cinderella", "year": 2001},
    {"id": 6007, "title": "x", "year": None},
]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder: Path = tmp_path_factory.mktemp("index")
    index = publish_version(str(folder / "lancedb"), [rows(TITLES)], "run-1")
    return load_version(index.uri, index.tag)


def answer(version: Version, **request: Any) -> list[dict[str, Any]]:
    parsed = RecommendationRequest.model_validate(request)
    return recommend(query_from_movies(parsed, version), parsed, version, RankConfig())


def test_the_only_movie_with_a_title_is_selected():
    assert select_movie("Cinderella", CINDERELLAS[:1], None) == CINDERELLAS[0]


def test_an_id_selects_among_movies_of_equal_title():
    assert select_movie("Cinderella", CINDERELLAS, 6007) == CINDERELLAS[1]


@pytest.mark.parametrize("movie_id", [None, 1])
def test_an_ambiguous_title_is_an_error_that_lists_the_movies(movie_id):
    with pytest.raises(UserError) as error:
        select_movie("Cinderella", CINDERELLAS, movie_id)
    assert str(error.value) == (
        "Movies called 'Cinderella': Cinderella (2001), id 6006; x, id 6007. "
        "Select one with --year or --id."
    )


def test_rows_are_selected_by_title_year_and_id(version):
    assert row_by_title(version, "cinderella", 2015, None) == 4
    assert row_by_title(version, "Cinderella", None, 4) == 3
    assert row_by_id(version, 6) == 5


def test_an_unknown_id_is_an_error(version):
    with pytest.raises(UserError, match=r"No movie has the id 999\."):
        row_by_id(version, 999)


def test_a_query_of_several_titles_is_named_after_all(version):
    request = RecommendationRequest(titles=["Alien", "toy story"])
    query = query_from_movies(request, version)
    assert (query.name, query.rows) == ("Alien (1979) + Toy Story (1984)", [0, 5])


@pytest.mark.parametrize("request_", [{}, {"titles": ["Alien"], "text": "A ship."}])
def test_a_request_has_either_movies_or_a_text(request_):
    with pytest.raises(ValidationError, match="Give titles, --id or --text"):
        RecommendationRequest.model_validate(request_)


def test_recommendations_leave_out_the_query_and_respect_limit_and_filters(version):
    movies = answer(version, titles=["Alien"], limit=3, genre=["War"])
    assert len(movies) == 3
    assert all(movie["genres"] == ["War"] for movie in movies)


def test_recommendations_are_explained_on_request_alone(version):
    (plain,) = answer(version, id=1, limit=1)
    (explained,) = answer(version, id=1, limit=1, explain=True)
    assert explained.pop("why")["genres"] == plain["genres"]
    assert explained == plain


def test_diversity_of_the_request_replaces_the_trained_setting(version):
    similar = [movie["id"] for movie in answer(version, id=1, limit=10)]
    diverse = [movie["id"] for movie in answer(version, id=1, limit=10, diversity=1.0)]
    assert similar[0] == diverse[0]
    assert similar != diverse
