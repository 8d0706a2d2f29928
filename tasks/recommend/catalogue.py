"""Index rows -> the movies of one version in memory: filtered and ranked lists."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.contracts import UserError
from tasks.core.strict_config import StrictConfig
from tasks.recommend.scoring import (
    Array,
    ItemFeatures,
    RankConfig,
    drop_duplicates,
    mean_similarities,
    mmr_rerank,
    similarity_features,
    top_positions,
    weighted_scores,
)

MOVIE_COLUMNS = ["source", "id", "imdb_id", "title", "year", "genres", "language"]
MOVIE_COLUMNS += ["overview", "keywords", "people"]
EXTRA_CANDIDATES = 50  # candidates beyond the limit, to replace dropped duplicates
MMR_CANDIDATES = 4  # candidates per recommended movie where the list is diversified
MOVIES_AT_HAND = 1000  # that were looked up last
NEAREST = 1000  # movies whose embeddings are compared if there is an approximate index
Mask = NDArray[np.bool_]
Rows = Sequence[int]


class Filters(StrictConfig):
    """Which movies may be recommended."""

    genre: list[str] = Field(
        [], description="Recommend only movies of this genre; repeat to require several genres"
    )
    not_genre: list[str] = Field(
        [],
        alias="not-genre",
        description="Exclude movies of this genre; repeat to exclude several genres",
    )
    from_year: int | None = Field(
        None, alias="from-year", description="Recommend only movies released in this year or later"
    )
    to_year: int | None = Field(
        None, alias="to-year", description="Recommend only movies released in this year or earlier"
    )
    language: str | None = Field(
        None, description="Recommend only movies of this original language (ISO 639-1, as in `en`)"
    )


class Hit(NamedTuple):
    """A recommended movie: its row, its score, and the mean similarity features of all rows.

    `features` has an array (1, n_movies) per feature name.
    """

    row: int
    score: float
    features: dict[str, Array]


def dense_matrix(column: pa.ChunkedArray) -> Array:
    """A column of vectors as a matrix (n, size)."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: Array = flat.reshape(len(column), -1)
    return matrix


def sparse_matrix(
    term_lists: pa.ChunkedArray, weight_lists: pa.ChunkedArray
) -> tuple[sp.csr_array, list[str]]:
    """Lists of terms and weights as a matrix (n, n_terms), and the term of each column."""
    lists = term_lists.combine_chunks()
    encoded = lists.flatten().dictionary_encode()
    weights = weight_lists.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())])
    terms: list[str] = encoded.dictionary.to_pylist()
    columns = encoded.indices.to_numpy()
    return sp.csr_array((weights, columns, starts), shape=(len(lists), len(terms))), terms


def duplicate_keys(rows: pa.Table) -> list[NDArray[np.int64]]:
    """Codes (n,) of the overview and of title and year: an equal code marks a duplicate."""
    years = pc.fill_null(rows["year"].cast(pa.string()), "?")
    titles = pc.binary_join_element_wise(rows["title_key"], years, "/")
    return [
        column.combine_chunks().dictionary_encode().indices.to_numpy()
        for column in (rows["overview_key"], titles)
    ]


def movie_reader(movies: pa.Table) -> Callable[[int], dict[str, Any]]:
    """Function: row -> the columns of its movie, the same dictionary to all who ask.

    It holds the table and no catalogue: a catalogue that nobody uses is freed at once.
    """

    @lru_cache(maxsize=MOVIES_AT_HAND)
    def movie(row: int) -> dict[str, Any]:
        columns: dict[str, Any] = movies.slice(row, 1).to_pylist()[0]
        return columns

    return movie


class Catalogue:
    """All movies of a version and their features, in the row order of the index table."""

    def __init__(self, rows: pa.Table) -> None:
        words, self.words = sparse_matrix(rows["words"], rows["words_weights"])
        titles, _ = sparse_matrix(rows["title_words"], rows["title_words_weights"])
        people, _ = sparse_matrix(rows["people_terms"], rows["people_terms_weights"])
        keywords, _ = sparse_matrix(rows["keyword_terms"], rows["keyword_terms_weights"])
        self.movies = rows.select([name for name in MOVIE_COLUMNS if name in rows.column_names])
        self.features = ItemFeatures(
            content=dense_matrix(rows["content"]),
            hidden=dense_matrix(rows["hidden"]),
            genres=dense_matrix(rows["genre_vector"]),
            affinities=dense_matrix(rows["genre_affinity"]),
            words=words,
            titles=titles,
            people=people,
            keywords=keywords,
            years=rows["year"].cast(pa.float32()).to_numpy(zero_copy_only=False),
            votes=rows["votes"].to_numpy(),
        )
        self.items = self.features.by_term()
        self.title_keys = rows["title_key"]
        self.movie = movie_reader(self.movies)
        self.duplicate_keys = duplicate_keys(rows)

    def __len__(self) -> int:
        return int(self.movies.num_rows)

    @cached_property
    def positions(self) -> dict[tuple[str, str], int]:
        """Row of each movie by source and id."""
        pairs = zip(self.movies["source"].to_pylist(), self.movies["id"].to_pylist(), strict=True)
        return {pair: row for row, pair in enumerate(pairs)}

    @cached_property
    def genres(self) -> dict[str, Mask]:
        """Mask (n_movies,) of the movies of each genre, by case-folded genre name."""
        lists = self.movies["genres"].combine_chunks()
        rows = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy())
        names = np.array([name.casefold() for name in lists.flatten().to_pylist()], dtype=object)
        masks = {}
        for name in set(names.tolist()):
            masks[name] = np.zeros(len(lists), bool)
            masks[name][rows[names == name]] = True
        return masks

    @cached_property
    def languages(self) -> NDArray[np.object_]:
        """Language of each movie; None if unknown."""
        return np.array(self.movies["language"].to_pylist(), dtype=object)

    @cached_property
    def _column_of_word(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.words)}

    @cached_property
    def _rows_by_title(self) -> dict[str, list[int]]:
        rows = dict[str, list[int]]()
        for row, key in enumerate(self.title_keys.to_pylist()):
            rows.setdefault(key, []).append(row)
        return rows

    def rows_with_title(self, key: str) -> list[int]:
        """Rows of the movies whose folded title is `key`."""
        return list(self._rows_by_title.get(key, []))

    def rows_starting_with(self, key: str) -> list[int]:
        """Rows of the movies whose folded title starts with `key`."""
        rows: list[int] = pc.indices_nonzero(pc.starts_with(self.title_keys, key)).to_pylist()
        return rows

    def features_of(self, rows: Rows) -> ItemFeatures:
        """Features of some movies."""
        return self.features.rows(np.array(rows, np.int64))

    def text_features(
        self, content: Array, hidden: Array, genres: Array, word_weights: Mapping[str, float]
    ) -> ItemFeatures:
        """Features (one row) of a text that is not a movie: without title, people, year and votes.

        It is only a query: `affinities` are those of recommended movies.

        `content` (1, size), `hidden` (1, n_axes) and `genres` (1, n_genres) have unit length. Words
        that no movie of the catalogue contains are ignored.
        """
        columns = self._column_of_word
        weights = {
            columns[word]: weight for word, weight in word_weights.items() if word in columns
        }
        indices = (np.zeros(len(weights), np.int64), np.array(list(weights), np.int64))
        values = np.array(list(weights.values()), np.float32)
        features = self.features
        return ItemFeatures(
            content=content,
            hidden=hidden,
            genres=genres,
            affinities=genres,
            words=sp.csr_array((values, indices), shape=(1, len(self.words))),
            titles=sp.csr_array((1, features.titles.shape[1]), dtype=np.float32),
            people=sp.csr_array((1, features.people.shape[1]), dtype=np.float32),
            keywords=sp.csr_array((1, features.keywords.shape[1]), dtype=np.float32),
            years=np.array([np.nan], np.float32),
            votes=np.zeros(1, np.float32),
        )

    def filter_mask(self, filters: Filters) -> Mask | None:
        """Mask (n_movies,) of the movies that pass the filters; None without filters.

        Raises:
            UserError: no movie has a genre that the filters name.
        """
        masks = [self._genre_mask(name) for name in filters.genre]
        masks += [~self._genre_mask(name) for name in filters.not_genre]
        years = self.features.years
        if filters.from_year is not None:
            masks.append(years >= filters.from_year)
        if filters.to_year is not None:
            masks.append(years <= filters.to_year)
        if filters.language is not None:
            masks.append(self.languages == filters.language)
        return np.logical_and.reduce(masks) if masks else None

    def _genre_mask(self, name: str) -> Mask:
        if name.casefold() not in self.genres:
            names = pc.unique(self.movies["genres"].combine_chunks().flatten()).to_pylist()
            known = ", ".join(sorted(names))
            raise UserError(f"No movie carries the genre '{name}'. There are: {known}.")
        return self.genres[name.casefold()]

    def rank(
        self,
        queries: ItemFeatures,
        query_rows: Rows,
        limit: int,
        config: RankConfig,
        *,
        allowed: Mask | None = None,
        nearest_rows: Rows | None = None,
    ) -> list[Hit]:
        """The `limit` movies with the highest mean score over the queries, best first.

        Movies in `query_rows` and duplicates are left out, as are movies outside the mask
        `allowed` (n_movies,). `nearest_rows` are the movies whose embeddings an approximate index
        returned; without them the embeddings of all movies are compared.
        """
        if nearest_rows is None:
            similarities = similarity_features(queries, self.items)
        else:
            similarities = self._ann_features(queries, nearest_rows, config)
        means = mean_similarities(similarities)
        scores = weighted_scores(means, config)[0]
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf)
        rows = self.top_rows(scores, query_rows, limit, config.diversity)
        return [Hit(row, float(scores[row]), means) for row in rows]

    def top_rows(self, scores: Array, query_rows: Rows, limit: int, diversity: float) -> list[int]:
        """Rows of the best by `scores` (n_movies,), without query movies and duplicates."""
        per_movie = MMR_CANDIDATES if diversity else 1
        candidates = top_positions(scores, per_movie * limit + len(query_rows) + EXTRA_CANDIDATES)
        candidates = candidates[np.isfinite(scores[candidates])]
        unique_rows = drop_duplicates(
            candidates.tolist(),
            self.duplicate_keys,
            query_rows,
            limit=len(candidates) if diversity else limit,
        )
        content = self.features.content[unique_rows]
        selected = mmr_rerank(scores[unique_rows], content, limit, diversity)
        return [unique_rows[position] for position in selected]

    def _ann_features(
        self, queries: ItemFeatures, nearest_rows: Rows, config: RankConfig
    ) -> dict[str, Array]:
        """Similarity features that compare the embeddings of a subset of the movies.

        These are `nearest_rows` and the best movies by all other features; the cosine of the
        remaining movies is 0.
        """
        features = similarity_features(_without_content(queries), _without_content(self.items))
        scores = weighted_scores(features, config).mean(axis=0)
        rows = np.union1d(top_positions(scores, NEAREST), np.array(nearest_rows, np.int64))
        features["content"][:, rows] = queries.content @ self.features.content[rows].T
        return features


def _without_content(features: ItemFeatures) -> ItemFeatures:
    """The same features with embeddings of size 0, whose products are 0."""
    return features._replace(content=features.content[:, :0])
