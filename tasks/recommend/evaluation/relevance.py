"""Collections, keywords, ratings -> relevance judgements, independent of the ranking features."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray
from pyarrow import csv

from tasks.core.contracts import UserError
from tasks.recommend.features.index_transformer import smooth_idf, tfidf_weights

MIN_LIKED_STARS = 4.0
MIN_LIKES = 10  # users who like a movie, for the movie to be a query
MIN_COMMON_USERS = 3
N_RELEVANT = 20
SHRINKAGE = 5
USER_GROUPS = 10  # left out in turn, for the interval of what depends on the sample of users
MIN_KEYWORDS = 5  # keywords of a movie, for the movie to be judged
MATCHED_NEIGHBOURS, MATCHED_SAMPLE = 300, 50
MIN_MATCHED_MOVIES = 100  # a smaller catalogue has too few movies with about equal votes
#: Weights are chosen, and versions promoted, on one half of the judgements; scores are reported on
#: the other.
Half = Literal["choosing", "reported"]
#: Relevant rows by query row.
Relevant = dict[int, NDArray[np.int64]]


def half_of(name: str) -> Half:
    """The half of the judgements that a movie, a franchise or a user belongs to, for ever."""
    is_reported = hashlib.sha256(name.encode()).digest()[0] % 2 == 1
    return "reported" if is_reported else "choosing"


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


class KeywordJudgements(NamedTuple):
    """Movies with enough keywords: their rows (n,), and TF-IDF vectors of their keywords.

    `vectors` (n, n_keywords) have unit length. The relevance of a movie to another is the cosine.
    """

    rows: NDArray[np.int64]
    vectors: sp.csr_array

    def gains(self, position: int) -> NDArray[np.float32]:
        """Relevance (n,) of all judged movies to that at `position`, whose own is 0."""
        gains: NDArray[np.float32] = (self.vectors @ self.vectors[[position]].T).toarray()[:, 0]
        gains[position] = 0
        return gains


def keyword_judgements(keywords: Sequence[Sequence[str]]) -> KeywordJudgements:
    """Judgements by the keywords of movies that have at least `MIN_KEYWORDS`."""
    judged = {
        row: set(names) for row, names in enumerate(keywords) if len(set(names)) >= MIN_KEYWORDS
    }
    frequencies = Counter(name for names in judged.values() for name in names)
    columns = {name: column for column, name in enumerate(sorted(frequencies))}
    idf = smooth_idf(frequencies, len(judged))
    weights = [tfidf_weights(sorted(names), idf, rare=0.0) for names in judged.values()]
    values = np.array([weight for row in weights for weight in row.values()], np.float32)
    indices = np.array([columns[name] for row in weights for name in row], np.int64)
    starts = np.cumsum([0, *map(len, weights)])
    shape = (len(judged), len(columns))
    vectors = sp.csr_array((values, indices, starts), shape=shape)
    return KeywordJudgements(np.array(list(judged), np.int64), vectors)


class VoteMatched:
    """Draws movies with about as many votes as the relevant movies of a query.

    `votes` is (n_movies,). A query's draw depends on the catalogue and its row alone.
    """

    def __init__(self, votes: NDArray[np.float32], seed: int = 0) -> None:
        self.order = np.lexsort((np.arange(len(votes)), votes))
        self.rank = np.empty(len(votes), np.int64)
        self.rank[self.order] = np.arange(len(votes))
        self.seed = seed

    def draw(self, query: int, relevant: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows (n_relevant, 50), from the about 300 movies nearest by vote rank to each relevant.

        The query and its relevant movies are never drawn; a small catalogue may have fewer others.
        """
        rng, excluded = np.random.default_rng([self.seed, query]), np.append(relevant, query)
        is_excluded = np.zeros(len(self.order), bool)
        is_excluded[self.rank[excluded]] = True
        return np.array([self._draw(rank, is_excluded, rng) for rank in self.rank[relevant]])

    def _draw(
        self, rank: int, is_excluded: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        width = MATCHED_NEIGHBOURS + N_RELEVANT + 1
        start = max(0, min(rank - width // 2, len(self.order) - width))
        window = slice(start, start + width)
        candidates = self.order[window][~is_excluded[window]]
        return rng.choice(candidates, min(MATCHED_SAMPLE, len(candidates)), replace=False)


def read_likes(
    ratings: Path, links: Path, row_by_id: Mapping[str, int], half: Half
) -> sp.csr_array:
    """Matrix (n_users, n_movies) of ones where a user likes a movie, from the MovieLens files.

    `row_by_id` maps TMDB ids to catalogue rows; ratings of other movies and of the users of the
    other half are ignored.

    Raises:
        UserError: a file lacks a column, or a value is not a number.
    """
    linked = _read_columns(links, {"movieId": pa.int64(), "tmdbId": pa.float64()}).drop_null()
    tmdb_ids = map(str, map(int, linked["tmdbId"].to_pylist()))
    row_by_movie = {
        movie: row_by_id[tmdb_id]
        for movie, tmdb_id in zip(linked["movieId"].to_pylist(), tmdb_ids, strict=True)
        if tmdb_id in row_by_id
    }
    likes = _read_likes_table(ratings)
    users, movies = likes["userId"].to_pylist(), likes["movieId"].to_pylist()
    is_counted = {user: half_of(f"user {user}") == half for user in set(users)}
    pairs = {
        (user, row_by_movie[movie])
        for user, movie in zip(users, movies, strict=True)
        if movie in row_by_movie and is_counted[user]
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
    """The 20 movies most liked by the same users, for movies liked by at least 10 users.

    `likes` is a matrix (n_users, n_movies) of ones. Similarity is the cosine over users, multiplied
    by n / (n + 5) for n common users. At least 3 common users are required; movies with fewer than
    20 such neighbours are not queries.
    """
    counts, common = _like_counts(likes)
    liked = np.flatnonzero(counts >= MIN_LIKES).tolist()
    neighbours = {row: _most_co_liked(row, common, counts) for row in liked}
    return {row: others for row, others in neighbours.items() if len(others) == N_RELEVANT}


def co_liked_without_groups(likes: sp.csr_array, queries: Sequence[int]) -> list[Relevant]:
    """As `co_liked`, without each of ten groups of users, for some movies; lists may be shorter."""
    counts, common = _like_counts(likes)
    without_group = list[Relevant]()
    for group in range(USER_GROUPS):
        group_counts, group_common = _like_counts(likes[group::USER_GROUPS])
        left, left_common = counts - group_counts, (common - group_common).tocsr()
        without_group.append({row: _most_co_liked(row, left_common, left) for row in queries})
    return without_group


def _like_counts(likes: sp.csr_array) -> tuple[NDArray[np.float64], sp.csr_array]:
    """Users who like each movie (n_movies,), and each pair of movies (n_movies, n_movies)."""
    return np.asarray(likes.sum(axis=0)).ravel(), (likes.T @ likes).tocsr()


def stable_sample(rows: Sequence[int], names: Sequence[str], limit: int) -> list[int]:
    """At most `limit` rows, in order, by a hash of their names (one for each catalogue row).

    A new movie changes at most one of them.
    """
    by_hash = sorted(rows, key=lambda row: hashlib.sha256(names[row].encode()).digest()[1:])
    return sorted(by_hash[:limit])


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
