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
)
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import Version, load_version
from tests.support.index_rows import TITLES, rows


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder: Path = tmp_path_factory.mktemp("index")
    index = publish_version(str(folder / "lancedb"), [rows(TITLES)], "run-1")
    return load_version(index.uri, index.tag)


def answer(version: Version, **request: Any) -> list[dict[str, Any]]:
    parsed = RecommendationRequest.model_validate(request)
    return recommend(query_from_movies(parsed, version), parsed, version, RankConfig())


def test_a_row_is_selected_by_id(version):
    assert row_by_id(version, 6) == 5


def test_an_unknown_id_is_an_error(version):
    with pytest.raises(UserError, match=r"No movie has the id 999\."):
        row_by_id(version, 999)


def test_a_query_of_several_titles_is_named_after_all(version):
    request = RecommendationRequest(titles=["Alien", "toy story"])
    query = query_from_movies(request, version)
    assert (query.name, query.rows) == ("Alien (1979) + Toy Story (1984)", [0, 5])


def test_a_query_has_the_notes_of_its_titles(tmp_path):
    table = rows(["Gravity", "Gravity", "Alien"])
    known = table.set_column(table.column_names.index("votes"), "votes", [[0.1, 0.9, 0.5]])
    index = publish_version(str(tmp_path / "lancedb"), [known], "run-1")
    request = RecommendationRequest(titles=["Gravity", "Alien"])
    query = query_from_movies(request, load_version(index.uri, index.tag))
    assert query.rows == [1, 2]
    assert query.notes == (
        "Movies called 'Gravity': Gravity (1979), id 1; Gravity (1980), id 2. Took Gravity (1980).",
    )


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
