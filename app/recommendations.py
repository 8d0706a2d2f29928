"""`/api/recommend`: movies or a text -> recommended movies, and the question as understood."""

from itertools import zip_longest
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field, model_validator

from app.closeness import closeness, self_score
from app.loader import CurrentChampion, LoadedChampion, SharedLoader
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.query import (
    RecommendationQuery,
    RecommendationRequest,
    query_from_movies,
    query_from_rows,
    recommend,
)
from tasks.recommend.title_choice import other_meanings

Movie = dict[str, Any]
Year = Annotated[int, Field(ge=1800, le=2200)]
Title = Annotated[str, Field(min_length=1, max_length=300)]
MovieId = Annotated[str, Field(min_length=1, max_length=100)]
Genre = Annotated[str, Field(min_length=1, max_length=100)]


class ApiQuery(BaseModel, extra="forbid"):
    """Query parameters: titles (all with ids, or none), ids, or a text; filters."""

    title: list[Title] = Field(
        [], max_length=20, description="Movie title; several titles are one question"
    )
    id: list[MovieId] = Field(
        [], max_length=20, description="Movie id: one per title in their order, or without titles"
    )
    text: str | None = Field(
        None, min_length=1, max_length=5000, description="A plot description, instead of titles"
    )
    year: Year | None = Field(
        None, description="Release year; selects among several movies of that title"
    )
    genre: list[Genre] = Field(
        [], max_length=50, description="Only movies of this genre, or of all of several"
    )
    not_genre: list[Genre] = Field(
        [], max_length=50, description="No movies of this genre, or of any of several"
    )
    from_year: Year | None = Field(None, description="Only movies released in this year or later")
    to_year: Year | None = Field(None, description="Only movies released in this year or earlier")
    language: str | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="Only movies of this original language (ISO 639-1, as in `en`)",
    )
    limit: int = Field(10, ge=1, le=50, description="Number of movies")
    diversity: float | None = Field(
        None, ge=0, le=1, description="From 0 (closest) to 1 (most varied); by default as trained"
    )

    @model_validator(mode="after")
    def _require_movies_or_text(self) -> "ApiQuery":
        if bool(self.title or self.id) == (self.text is not None):
            raise ValueError("Give titles or ids, or a text.")
        if self.title and self.id and len(self.title) != len(self.id):
            raise ValueError("Give one id per title, or no ids.")
        return self

    def to_request(self) -> RecommendationRequest:
        """The same request as the command line makes."""
        filters = self.model_dump(exclude={"title", "id"})
        movies = {"titles": self.title, "id": next(iter(self.id), None)}
        return RecommendationRequest.model_validate({**filters, **movies, "explain": True})


def resolve_movies(query: ApiQuery, loaded: LoadedChampion) -> RecommendationQuery:
    """The query for one or several movies; each is resolved as on the command line.

    Raises:
        UserError: a movie does not exist, or several have its title.
    """
    request, version = query.to_request(), loaded.version
    rows, notes = list[int](), list[str]()
    for title, movie_id in zip_longest(query.title, query.id):
        single = request.model_copy(update={"titles": [title] if title else [], "id": movie_id})
        movie_query = query_from_movies(single, version)
        rows += movie_query.rows
        notes += movie_query.notes
    return query_from_rows(rows, version, tuple(notes))


def add_details(movie: Movie, catalogue: Catalogue, question_score: float) -> Movie:
    """A recommended movie with its overview, and its closeness by the question's `self_score`."""
    row = catalogue.positions[movie["source"], movie["id"]]
    words = closeness(movie["why"]["shares"], question_score)
    return movie | {"overview": catalogue.movie(row)["overview"], "closeness": words}


def asked_movie(row: int, catalogue: Catalogue) -> Movie:
    """A movie of the question with the others that its title could mean."""
    others = [catalogue.movie(other) for other in other_meanings(catalogue, row)]
    return catalogue.movie(row) | {"alternatives": others}


def recommendations(
    parameters: Annotated[ApiQuery, Query()], loaded: CurrentChampion, loader: SharedLoader
) -> dict[str, Any]:
    """Movies like some movies, or like a plot description; best first, each with its explanation.

    An answer has status 404 if a title is unknown or can mean several movies; `detail` lists them.
    """
    text = parameters.text
    # outside of the turn: a new champion's model is loaded for seconds, unknown titles are searched
    query = resolve_movies(parameters, loaded) if text is None else loader.text_query(text, loaded)
    with loader.turn:
        return answer(query, parameters, loaded)


def answer(
    query: RecommendationQuery, parameters: ApiQuery, loaded: LoadedChampion
) -> dict[str, Any]:
    """The question as understood, and its movies."""
    rank, catalogue = loaded.champion.rank, loaded.version.catalogue
    movies = recommend(query, parameters.to_request(), loaded.version, rank)
    question_score = self_score(query, rank if query.rows else rank.for_text())
    return {
        "question": query.name,
        "notes": list(query.notes),
        "version": loaded.champion.version,
        "asked": [asked_movie(row, catalogue) for row in query.rows],
        "movies": [add_details(movie, catalogue, question_score) for movie in movies],
    }
