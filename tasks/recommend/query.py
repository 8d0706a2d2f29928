"""A request for recommendations -> a query -> recommended movies, best first.

The terminal command, the demo page and the registered MLflow model all use these functions.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ConfigDict, Field, model_validator

from tasks.core.contracts import UserError
from tasks.recommend.catalogue import Filters, Hit
from tasks.recommend.explanation import explanation
from tasks.recommend.scoring import ItemFeatures, RankConfig
from tasks.recommend.search import Version, title_with_year
from tasks.recommend.title_choice import resolve_title

if TYPE_CHECKING:
    from tasks.recommend.text_model import TextModel

RETURNED_COLUMNS = ("source", "id", "title", "year", "genres")


class RecommendationRequest(Filters):
    """Titles, an id or a text, and which and how many movies to recommend."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    titles: list[str] = Field(
        [], description="Movie titles; several titles form one query (mean of their scores)"
    )
    year: int | None = Field(
        None, description="Release year; selects among several movies of that title"
    )
    id: str | None = Field(
        None,
        coerce_numbers_to_str=True,
        description="Movie id, instead of a title or to select one of equal title and year",
    )
    text: str | None = Field(None, description="Plot description to search by, instead of a title")
    limit: int = Field(10, ge=1, le=1000, description="Number of movies to recommend")
    diversity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="MMR diversity of the list (0: none, 1: maximal); null: the trained setting",
    )
    explain: bool = Field(
        False,
        description="Say why each movie is recommended: what it shares with the query, "
        "and the part of each feature in the score",
    )

    @model_validator(mode="after")
    def _has_movies_or_text(self) -> "RecommendationRequest":
        has_movies = bool(self.titles) or self.id is not None
        if has_movies == (self.text is not None):
            raise ValueError("Give titles, --id or --text")
        return self


class RecommendationQuery(NamedTuple):
    """What movies are compared with.

    `name` is shown to the user, `features` has one row per movie or text of the query, `rows` are
    the catalogue rows of the query movies, which are never recommended. `notes` say which movie was
    taken where a title can mean several.
    """

    name: str
    features: ItemFeatures
    rows: list[int]
    notes: tuple[str, ...] = ()


def row_by_id(version: Version, movie_id: str) -> int:
    """Catalogue row of the movie with this id.

    Raises:
        UserError: no movie has the id, or movies of several sources have it.
    """
    rows = [row for (_, id_), row in version.catalogue.positions.items() if id_ == movie_id]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UserError(f"No movie has the id {movie_id}.")
    raise UserError(f"{len(rows)} sources have a movie with the id {movie_id}: name its title too.")


def query_from_movies(request: RecommendationRequest, version: Version) -> RecommendationQuery:
    """The query of a request by titles or id.

    Raises:
        UserError: a title or the id is unknown or ambiguous.
    """
    if not request.titles:
        return query_from_rows([row_by_id(version, str(request.id))], version)
    choices = [resolve_title(version, title, request.year, request.id) for title in request.titles]
    notes = tuple(choice.note for choice in choices if choice.note)
    return query_from_rows([choice.row for choice in choices], version, notes)


def query_from_rows(
    rows: list[int], version: Version, notes: tuple[str, ...] = ()
) -> RecommendationQuery:
    """The query for movies by their catalogue rows."""
    name = " + ".join(title_with_year(version.catalogue.movie(row)) for row in rows)
    return RecommendationQuery(name, version.catalogue.features_of(rows), rows, notes)


def query_from_text(text: str, version: Version, model: "TextModel") -> RecommendationQuery:
    """The query of a plot description.

    Raises:
        UserError: the model knows no word of the text.
    """
    return RecommendationQuery(text, model.text_features(text, version.catalogue), [])


def recommend(
    query: RecommendationQuery, request: RecommendationRequest, version: Version, rank: RankConfig
) -> list[dict[str, Any]]:
    """Movies most similar to the query, best first, without the query movies and duplicates.

    Raises:
        UserError: no movie has a genre that the request filters by.
    """
    if not query.rows:
        rank = rank.for_text()
    if request.diversity is not None:
        rank = rank.model_copy(update={"diversity": request.diversity})
    hits = version.catalogue.rank(
        query.features,
        query.rows,
        limit=request.limit,
        config=rank,
        allowed=version.catalogue.filter_mask(request),
        nearest_rows=version.nearest_rows(query.features),
    )
    movies = [_movie_with_score(version, hit) for hit in hits]
    if request.explain:
        for movie, hit in zip(movies, hits, strict=True):
            movie["why"] = explanation(
                version.catalogue,
                hit,
                rank,
                query_features=query.features,
                query_rows=query.rows,
            )
    return movies


def _movie_with_score(version: Version, hit: Hit) -> dict[str, Any]:
    movie = version.catalogue.movie(hit.row)
    return {name: movie[name] for name in RETURNED_COLUMNS} | {"score": hit.score}
