"""Collections and ratings -> relevant movies of each query movie, independent of the features."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray
from pyarrow import csv

from tasks.core.contracts import UserError

MIN_LIKED_STARS = 4.0
MIN_LIKES = 10  # users who like a movie, for the movie to be a query
MIN_COMMON_USERS = 3
N_RELEVANT = 20
SHRINKAGE = 5
#: Relevant rows by query row.
Relevant = dict[int, NDArray[np.int64]]


def franchises(collections: Sequence[str | None]) -> Relevant:
    """The other movies of the same collection, for each movie of a collection of at least two."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(collections):
        if name:
            members[name].append(row)
    return {
        row: np.array([other for other in rows if other != row])
        for rows in members.values()
        if len(rows) > 1
        for row in rows
    }


def read_likes(ratings: Path, links: Path, row_by_id: Mapping[int, int]) -> sp.csr_array:
    """Matrix (n_users, n_movies) of ones where a user likes a movie, from the MovieLens files.

    `row_by_id` maps TMDB ids to catalogue rows; ratings of other movies are ignored.

    Raises:
        UserError: a file lacks a column, or a value is not a number.
    """
    linked = _read_columns(links, {"movieId": pa.int64(), "tmdbId": pa.float64()}).drop_null()
    tmdb_ids = dict(zip(linked["movieId"].to_pylist(), linked["tmdbId"].to_pylist(), strict=True))
    row_by_movie = {
        movie: row_by_id[int(tmdb_id)]
        for movie, tmdb_id in tmdb_ids.items()
        if int(tmdb_id) in row_by_id
    }
    likes = _read_likes_table(ratings)
    users, movies = likes["userId"].to_pylist(), likes["movieId"].to_pylist()
    pairs = {
        (user, row_by_movie[movie])
        for user, movie in zip(users, movies, strict=True)
        if movie in row_by_movie
    }
    return _indicator_matrix(pairs, width=max(row_by_id.values(), default=-1) + 1)


def _read_likes_table(ratings: Path) -> pa.Table:
    types = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float64()}
    table = _read_columns(ratings, types)
    return table.filter(pc.greater_equal(table["rating"], MIN_LIKED_STARS))


def _indicator_matrix(pairs: set[tuple[int, int]], width: int) -> sp.csr_array:
    """Matrix (n_users, width) of ones at pairs of user id and column; rows sorted by user id."""
    user_rows = {user: row for row, user in enumerate(sorted({user for user, _ in pairs}))}
    indices = np.array(
        [(user_rows[user], column) for user, column in sorted(pairs)], np.int64
    ).reshape(-1, 2)
    ones = np.ones(len(indices))
    return sp.csr_array((ones, (indices[:, 0], indices[:, 1])), shape=(len(user_rows), width))


def _read_columns(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    options = csv.ConvertOptions(include_columns=list(types), column_types=types)
    try:
        return csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, KeyError) as error:
        raise UserError(f"{path.name}: {error} (needed columns: {', '.join(types)}).") from error


def co_liked(likes: sp.csr_array) -> Relevant:
    """The 20 movies most liked by the same users, for each movie liked by at least 10 users.

    `likes` is a matrix (n_users, n_movies) of ones. Similarity is the cosine over users, multiplied
    by n / (n + 5) for n common users. At least 3 common users are required; movies with fewer than
    20 such neighbours are not queries.
    """
    like_counts = np.asarray(likes.sum(axis=0)).ravel()
    common_users = (likes.T @ likes).tocsr()
    relevant: Relevant = {}
    for row in np.flatnonzero(like_counts >= MIN_LIKES).tolist():
        neighbours = _most_co_liked(row, common_users, like_counts)
        if len(neighbours) == N_RELEVANT:
            relevant[row] = neighbours
    return relevant


def _most_co_liked(
    row: int, common_users: sp.csr_array, like_counts: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Up to 20 rows most similar to a movie by shrunken cosine, best first; ties by row."""
    span = slice(common_users.indptr[row], common_users.indptr[row + 1])
    others, counts = common_users.indices[span], common_users.data[span]
    is_neighbour = (counts >= MIN_COMMON_USERS) & (others != row)
    others, counts = others[is_neighbour], counts[is_neighbour]
    cosine = counts / np.sqrt(like_counts[row] * like_counts[others])
    similarity = cosine * counts / (counts + SHRINKAGE)
    order = np.lexsort((others, -similarity))[:N_RELEVANT]
    neighbours: NDArray[np.int64] = others[order].astype(np.int64)
    return neighbours
