"""New index rows and the version before -> which movies were added, and what changed in others."""

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.contracts import IndexRef
from tasks.recommend.features.index_features import MOVIE_COLUMNS
from tasks.recommend.query import RecommendationRequest, query_from_rows, recommend
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import Version, movie_keys, read_movies, title_with_year
from tasks.recommend.text_model import TextModel
from tasks.reports.page_parts import MovieList
from tasks.reports.texts.metric_names import column_title

Movie = dict[str, Any]
SHOWN_LISTS = 12
COMPARED_COLUMNS = [name for name in MOVIE_COLUMNS if name not in ("source", "id")]


class Changes(NamedTuple):
    """Movies that a refresh added, and those that it replaced with what changed in them."""

    added: list[Movie]
    updated: list[dict[str, Any]]

    @property
    def unchanged(self) -> int:
        """Number of replaced movies in which nothing changed."""
        return sum(not row["changed"] for row in self.updated)


def find_changes(before: IndexRef, rows: pa.Table) -> Changes:
    """What the `rows` of a refresh add to the version before it, and what they change."""
    known = _known_movies(before, rows)
    movies = rows.select(MOVIE_COLUMNS).to_pylist()
    keys = movie_keys(rows)
    return Changes(
        added=[movie for key, movie in zip(keys, movies, strict=True) if key not in known],
        updated=[
            changed_columns(known[key], movie)
            for key, movie in zip(keys, movies, strict=True)
            if key in known
        ],
    )


def _known_movies(index: IndexRef, rows: pa.Table) -> dict[tuple[str, str], Movie]:
    """Movies of a version that may be those of `rows`, by source and id."""
    movies = read_movies(index, MOVIE_COLUMNS)
    same_id = movies.filter(pc.is_in(movies["id"], rows["id"].cast(movies["id"].type)))
    return dict(zip(movie_keys(same_id), same_id.to_pylist(), strict=True))


def changed_columns(before: Movie, after: Movie) -> dict[str, Any]:
    """The row of an updated movie: its title, and the names of the columns that changed."""
    changed = [column_title(name) for name in COMPARED_COLUMNS if before[name] != after[name]]
    was = title_with_year(before)
    is_renamed = was != title_with_year(after)
    return {
        "id": after["id"],
        "title": title_with_year(after),
        "title before": was if is_renamed else None,
        "changed": changed,
    }


def lists_of(
    movies: list[Movie], version: Version, rank: RankConfig, model: TextModel
) -> list[MovieList]:
    """What the version recommends for movies of its catalogue, and their genres."""
    notes = genre_notes(movies, model)
    return [
        MovieList(title_with_year(movie), {"": _titles_like(movie, version, rank)}, note)
        for movie, note in zip(movies, notes, strict=True)
    ]


def _titles_like(movie: Movie, version: Version, rank: RankConfig) -> list[str]:
    row = version.catalogue.positions[movie["source"], movie["id"]]
    request = RecommendationRequest(id=movie["id"])
    similar_movies = recommend(query_from_rows([row], version), request, version, rank)
    return [title_with_year(similar) for similar in similar_movies]


def genre_notes(movies: list[Movie], model: TextModel) -> list[str]:
    """The genres of movies; for those without, the genres that the model predicts."""
    titles, overviews, keywords = (
        [movie[name] for movie in movies] for name in ("title", "overview", "keywords")
    )
    predicted = model.predict_genres(titles, overviews, keywords) if movies else []
    return [
        f"Genres: {', '.join(movie['genres'])}"
        if movie["genres"]
        else f"Genres (predicted): {', '.join(prediction.genres) or 'none'}"
        for movie, prediction in zip(movies, predicted, strict=True)
    ]
