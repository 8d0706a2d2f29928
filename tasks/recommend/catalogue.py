"""The movies of one version, held in memory -> ranked lists, filtered and explained."""

from collections.abc import Mapping, Sequence
from functools import cached_property
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
    ItemFeatures,
    RankConfig,
    common_words,
    drop_duplicates,
    mmr_rerank,
    score_contributions,
    similarity_features,
    top_positions,
    weighted_scores,
)

SHOWN = ["source", "id", "title", "year", "genres", "language", "overview", "keywords"]
POOL = 50  # more than are wanted, since copies are left out
NEAREST = 1000  # movies whose vectors are compared where an approximate index finds them
Rows = Sequence[int]


class Filters(StrictConfig):
    """Which movies may be answered with."""

    genre: list[str] = Field([], description="Only movies of all these genres")
    not_genre: list[str] = Field(
        [], alias="not-genre", description="No movies of any of these genres"
    )
    from_year: int | None = Field(None, alias="from-year", description="Released then or later")
    to_year: int | None = Field(None, alias="to-year", description="Released then or earlier")
    language: str | None = Field(None, description="Original language, as in `en`")


class Hit(NamedTuple):
    """A movie of a list: its row, its score, and the features (1, n) that gave it."""

    row: int
    score: float
    features: dict[str, NDArray[np.float32]]


def vectors_of(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of vectors as an array (n, size)."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    found: NDArray[np.float32] = flat.reshape(len(column), -1)
    return found


def sparse_of(names: pa.ChunkedArray, weights: pa.ChunkedArray) -> tuple[sp.csr_array, list[str]]:
    """Lists of terms and their weights as a matrix (n, n_terms), and the terms of its columns."""
    lists = names.combine_chunks()
    terms = lists.flatten().dictionary_encode()
    values = weights.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())])
    known: list[str] = terms.dictionary.to_pylist()
    columns = terms.indices.to_numpy()
    return sp.csr_array((values, columns, starts), shape=(len(lists), len(known))), known


class Catalogue:
    """Every movie of a version with what it is compared by, in the order of the table."""

    def __init__(self, rows: pa.Table) -> None:
        words, self.words = sparse_of(rows["words"], rows["words_weights"])
        titles, self.title_words = sparse_of(rows["title_words"], rows["title_words_weights"])
        self.movies = rows.select([name for name in SHOWN if name in rows.column_names])
        self.features = ItemFeatures(
            vectors_of(rows["content"]),
            words,
            titles,
            vectors_of(rows["genre_vector"]),
            rows["year"].cast(pa.float32()).to_numpy(zero_copy_only=False),
            rows["votes"].to_numpy(),
        )
        self.items = self.features.by_term()
        self.title_keys = rows["title_key"]
        overviews = rows["overview_key"].combine_chunks().dictionary_encode().indices
        named = pc.binary_join_element_wise(
            rows["title_key"], pc.fill_null(rows["year"].cast(pa.string()), "?"), "/"
        )
        titles_of = named.combine_chunks().dictionary_encode().indices
        self.keys = [overviews.to_numpy(), titles_of.to_numpy()]

    def __len__(self) -> int:
        return int(self.movies.num_rows)

    @cached_property
    def positions(self) -> dict[tuple[str, int], int]:
        """Where the movie of a source and id is."""
        pairs = zip(self.movies["source"].to_pylist(), self.movies["id"].to_pylist(), strict=True)
        return {pair: row for row, pair in enumerate(pairs)}

    def rows_with_title(self, key: str) -> list[int]:
        """Rows of the movies with a folded title."""
        rows: list[int] = pc.indices_nonzero(pc.equal(self.title_keys, key)).to_pylist()
        return rows

    @cached_property
    def genres(self) -> dict[str, NDArray[np.bool_]]:
        """Which movies carry a genre, by its folded name."""
        lists = self.movies["genres"].combine_chunks()
        rows = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy())
        names = np.array([name.casefold() for name in lists.flatten().to_pylist()], dtype=object)
        found = {}
        for name in set(names.tolist()):
            found[name] = np.zeros(len(lists), bool)
            found[name][rows[names == name]] = True
        return found

    @cached_property
    def languages(self) -> NDArray[np.object_]:
        """Language of each movie; None where unknown."""
        return np.array(self.movies["language"].to_pylist(), dtype=object)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.words)}

    def text_features(
        self,
        content: NDArray[np.float32],
        genres: NDArray[np.float32],
        words: Mapping[str, float],
    ) -> ItemFeatures:
        """Profile of a text that is no movie: without title, year and votes.

        `content` (1, size) and `genres` (1, n_genres) have length one, `words` are weighed.
        """
        known = {self._columns[word]: w for word, w in words.items() if word in self._columns}
        at = (np.zeros(len(known), np.int64), np.array(list(known), np.int64))
        weights = np.array(list(known.values()), np.float32)
        return ItemFeatures(
            content,
            sp.csr_array((weights, at), shape=(1, len(self.words))),
            sp.csr_array((1, len(self.title_words)), dtype=np.float32),
            genres,
            np.array([np.nan], np.float32),
            np.zeros(1, np.float32),
        )

    def features_of(self, rows: Rows) -> ItemFeatures:
        """The profiles of some movies."""
        return self.features.rows(np.array(rows, np.int64))

    def filter_mask(self, filters: Filters) -> NDArray[np.bool_] | None:
        """Which movies pass; None where all do.

        Raises:
            UserError: no movie carries a genre that is asked for.
        """
        masks = [self._genre(name) for name in filters.genre]
        masks += [~self._genre(name) for name in filters.not_genre]
        years = self.features.years
        if filters.from_year is not None:
            masks.append(years >= filters.from_year)
        if filters.to_year is not None:
            masks.append(years <= filters.to_year)
        if filters.language is not None:
            masks.append(self.languages == filters.language)
        return np.logical_and.reduce(masks) if masks else None

    def _genre(self, name: str) -> NDArray[np.bool_]:
        if name.casefold() not in self.genres:
            names = pc.unique(self.movies["genres"].combine_chunks().flatten()).to_pylist()
            known = ", ".join(sorted(names))
            raise UserError(f"No movie carries the genre '{name}'. There are: {known}.")
        return self.genres[name.casefold()]

    def rank(
        self,
        queries: ItemFeatures,
        asked: Rows,
        limit: int,
        config: RankConfig,
        allowed: NDArray[np.bool_] | None = None,
        nearest_rows: Rows | None = None,
    ) -> list["Hit"]:
        """The `limit` movies most like the queries together, best first.

        A movie's score is the mean of its scores for each query. Those in `asked`, and copies of
        them or of each other, are left out. With `nearest_rows`, found by an approximate index,
        vectors are compared for those alone and for the best by everything else.
        """
        each = (
            similarity_features(queries, self.items)
            if nearest_rows is None
            else self._nearest_features(queries, nearest_rows, config)
        )
        found = {name: part.mean(axis=0, keepdims=True) for name, part in each.items()}
        score = weighted_scores(found, config)[0]
        if allowed is not None:
            score = np.where(allowed, score, -np.inf)
        kept = self.top_rows(score, asked, limit, config.diversity)
        return [Hit(row, float(score[row]), found) for row in kept]

    def top_rows(
        self, score: NDArray[np.float32], asked: Rows, limit: int, diversity: float
    ) -> list[int]:
        """Rows of the best by `score` (n_movies,), without what was asked and without copies."""
        pool = top_positions(score, (4 if diversity else 1) * limit + len(asked) + POOL)
        pool = pool[np.isfinite(score[pool])]
        wanted = len(pool) if diversity else limit
        kept = drop_duplicates(pool.tolist(), self.keys, asked, wanted)
        picked = mmr_rerank(score[kept], self.features.content[kept], limit, diversity)
        return [kept[at] for at in picked]

    def _nearest_features(
        self, queries: ItemFeatures, near: Rows, config: RankConfig
    ) -> dict[str, NDArray[np.float32]]:
        """Features whose vectors are compared for some rows alone; elsewhere their cosine is 0."""
        blind, items = (of._replace(content=of.content[:, :0]) for of in (queries, self.items))
        found = similarity_features(blind, items)
        rest = weighted_scores(found, config).mean(axis=0)
        rows = np.union1d(top_positions(rest, NEAREST), np.array(near, np.int64))
        found["content"][:, rows] = queries.content @ self.features.content[rows].T
        return found

    def movie(self, row: int) -> dict[str, Any]:
        """What is shown of a movie."""
        found: dict[str, Any] = self.movies.slice(row, 1).to_pylist()[0]
        return found

    def explain(self, queries: ItemFeatures, hit: "Hit", config: RankConfig) -> dict[str, Any]:
        """Why a movie is in a list: words in common, the two cosines, each feature's share."""
        return {
            "words": common_words(queries.words, self.features.words[[hit.row]], self.words),
            "content": float(hit.features["content"][0, hit.row]),
            "genre": float(hit.features["genre"][0, hit.row]),
            "shares": score_contributions(hit.features, config, hit.row),
        }
