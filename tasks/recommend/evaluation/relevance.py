"""Ratings and collections -> which movies belong together, as viewers and studios see it."""

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

LIKED = 4.0  # stars from which a rating counts as liking
MIN_LIKES = 10
COMMON_USERS = 3
RELEVANT = 20
SHRINKAGE = 5
Relevant = dict[int, NDArray[np.int64]]


def franchises(collections: Sequence[str | None]) -> Relevant:
    """For each movie of a collection that holds several, the rows of its other members."""
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


def read_likes(ratings: Path, links: Path, rows: Mapping[int, int]) -> sp.csr_array:
    """Who likes what: (n_users, n_movies) of ones, by MovieLens's files; `rows` by TMDB id.

    Raises:
        UserError: a file lacks a column, or holds what is not a number.
    """
    linked = _columns(links, {"movieId": pa.int64(), "tmdbId": pa.float64()}).drop_null()
    tmdb = dict(zip(*(linked[name].to_pylist() for name in ("movieId", "tmdbId")), strict=True))
    wanted = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float64()}
    table = _columns(ratings, wanted)
    table = table.filter(pc.greater_equal(table["rating"], LIKED))
    pairs = {
        (user, rows[int(tmdb[movie])])
        for user, movie in zip(
            table["userId"].to_pylist(), table["movieId"].to_pylist(), strict=True
        )
        if movie in tmdb and int(tmdb[movie]) in rows
    }
    users = {user: at for at, user in enumerate(sorted({user for user, _ in pairs}))}
    at = np.array([(users[user], row) for user, row in sorted(pairs)], np.int64).reshape(-1, 2)
    width = max(rows.values(), default=-1) + 1
    return sp.csr_array((np.ones(len(at)), (at[:, 0], at[:, 1])), shape=(len(users), width))


def _columns(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    options = csv.ConvertOptions(include_columns=list(types), column_types=types)
    try:
        return csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, KeyError) as error:
        raise UserError(f"{path.name}: {error} ({', '.join(types)} are needed).") from error


def co_liked(likes: sp.csr_array) -> Relevant:
    """For each movie that enough users like, the 20 movies most liked by the same users.

    Cosine over users, shrunk by n / (n + 5) for n common users, of whom there must be three;
    movies with fewer than 20 such are no queries.
    """
    count = np.asarray(likes.sum(axis=0)).ravel()
    common = (likes.T @ likes).tocsr()
    found: Relevant = {}
    for row in np.flatnonzero(count >= MIN_LIKES):
        span = slice(common.indptr[row], common.indptr[row + 1])
        others, users = common.indices[span], common.data[span]
        kept = (users >= COMMON_USERS) & (others != row)
        others, users = others[kept], users[kept]
        if len(others) < RELEVANT:
            continue
        cosine = users / np.sqrt(count[row] * count[others]) * users / (users + SHRINKAGE)
        order = np.lexsort((others, -cosine))[:RELEVANT]
        found[int(row)] = others[order].astype(np.int64)
    return found
