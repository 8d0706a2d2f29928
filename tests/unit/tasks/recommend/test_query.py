from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.core.contracts import UserError
from tasks.recommend import catalogue
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.query import (
    RecommendationRequest,
    query_from_movies,
    query_from_text,
    recommend,
    row_by_id,
)
from tasks.recommend.scoring import FEATURES, RankConfig
from tasks.recommend.search import Version
from tests.support.index_rows import TITLES, rows
from tests.support.text_models import WORDS_ALONE, WordModel


def version_of(table: pa.Table) -> Version:
    """A version in memory, whose table is not needed for titles that exist."""
    return Version(table=SimpleNamespace(name="run-1"), catalogue=Catalogue(table), ann=False)


@pytest.fixture(scope="module")
def version() -> Version:
    return version_of(rows(TITLES))


def answer(version: Version, **request: Any) -> list[dict[str, Any]]:
    parsed = RecommendationRequest.model_validate(request)
    return recommend(query_from_movies(parsed, version), parsed, version, RankConfig())


def test_a_row_is_selected_by_id(version):
    assert row_by_id(version, "6") == 5


def test_an_unknown_id_is_an_error(version):
    with pytest.raises(UserError, match=r"No movie has the id 999\."):
        row_by_id(version, "999")


def test_a_query_of_several_titles_is_named_after_all(version):
    request = RecommendationRequest(titles=["Alien", "toy story"])
    query = query_from_movies(request, version)
    assert (query.name, query.rows) == ("Alien (1979) + Toy Story (1984)", [0, 5])


def test_a_query_has_the_notes_of_its_titles():
    table = rows(["Gravity", "Gravity", "Alien"])
    known = table.set_column(table.column_names.index("votes"), "votes", [[0.1, 0.9, 0.5]])
    request = RecommendationRequest(titles=["Gravity", "Alien"])
    query = query_from_movies(request, version_of(known))
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
    (plain,) = answer(version, id="1", limit=1)
    (explained,) = answer(version, id="1", limit=1, explain=True)
    assert explained.pop("why")["genres"] == plain["genres"]
    assert explained == plain


def test_diversity_of_the_request_replaces_the_trained_setting(version):
    similar = [movie["id"] for movie in answer(version, id="1", limit=10)]
    diverse = [movie["id"] for movie in answer(version, id="1", limit=10, diversity=1.0)]
    assert similar[0] == diverse[0]
    assert similar != diverse


def test_an_id_of_two_sources_is_ambiguous():
    table = rows(["Alien", "Up"])
    table = table.set_column(table.column_names.index("id"), "id", pa.array(["7", "7"]))
    table = table.set_column(table.column_names.index("source"), "source", pa.array(["a", "b"]))
    with pytest.raises(UserError, match="2 sources have a movie with the id 7: name its title"):
        row_by_id(version_of(table), "7")


def test_a_query_by_id_is_the_movie(version):
    query = query_from_movies(RecommendationRequest(id="1"), version)
    assert (query.name, query.rows, query.notes) == ("Alien (1979)", [0], ())
    assert np.array_equal(query.features.content, version.catalogue.features.content[:1])


def test_a_movie_may_have_the_id_zero():
    table = rows(["Alien", "Up"])
    table = table.set_column(table.column_names.index("id"), "id", pa.array(["1", "0"]))
    assert query_from_movies(RecommendationRequest(id="0"), version_of(table)).rows == [1]


def test_year_and_id_select_among_movies_of_a_title(version):
    by_year = query_from_movies(RecommendationRequest(titles=["Cinderella"], year=2015), version)
    by_id = query_from_movies(RecommendationRequest(titles=["Cinderella"], id="4"), version)
    assert (by_year.rows, by_id.rows) == ([4], [3])


def test_a_text_is_a_query_without_rows_and_is_ranked_by_the_weights_of_texts(version):
    """Words count for a text only; with the weights of movies all scores would be 0."""
    query = query_from_text("word1 word6", version, WordModel())
    assert (query.name, query.rows, query.notes) == ("word1 word6", [], ())
    request = RecommendationRequest(text="word1 word6", limit=1)
    movies_alone = WORDS_ALONE.model_copy(update={"words": 0.0})
    movies = recommend(query, request, version, movies_alone)
    assert [movie["id"] for movie in movies] == ["14"]
    assert movies[0]["score"] > 0


def test_an_answer_has_the_columns_of_a_movie_and_its_score(version):
    (movie,) = answer(version, id="1", limit=1)
    assert list(movie) == ["source", "id", "title", "year", "genres", "score"]
    (hit,) = version.catalogue.rank(
        version.catalogue.features_of([0]), [0], limit=1, config=RankConfig()
    )
    assert (movie["id"], movie["score"]) == (str(hit.row + 1), hit.score)


def test_the_nearest_embeddings_of_the_index_are_compared(version, monkeypatch):
    """Where the index has no embedding near the query, none counts."""
    content = RankConfig(**dict.fromkeys(FEATURES, 0.0) | {"content": 1.0})
    monkeypatch.setattr(catalogue, "NEAREST", 1)
    searched = []
    monkeypatch.setattr(
        Version, "nearest_rows", lambda _, features: searched.append(features) or [5]
    )
    request = RecommendationRequest(id="1", limit=99)
    query = query_from_movies(request, version)
    movies = recommend(query, request, version, content)
    assert searched == [query.features]
    assert sum(movie["score"] != 0 for movie in movies) == 1
