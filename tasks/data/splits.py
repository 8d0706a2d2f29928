"""Chunks of movies -> the split of every movie; all texts about a film are in one split.

Two movies are about the same film if their normalised overviews are equal, or their folded titles
and their years. The split depends on the overviews of a film alone, so that it never changes.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import get_run_logger
from pydantic import BaseModel
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.core.contracts import MoviesRef, Ref, SplitsRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.text import fold, normalize_overview
from tasks.data.preprocess import TextConfig

SALT = "movie-recommender/1"
FITTED_KEYS = "fitted_keys.npy"
KEY_COLUMNS = ["title", "year", "overview"]
NO_YEAR = np.uint64(0)

Split = Literal["train", "validation", "gate", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
#: Keys of movies, (n, 2): of the overview, and of title and year, which is 0 without a year.
Keys = NDArray[np.uint64]


class MovieSplits(BaseModel, frozen=True):
    """Splits of all chunks, the numbers of movies, and the keys of the movies to fit on.

    `retold` movies are about a film that another movie is about too; `moved` ones of them are in
    another split than their own overview says, so that the film is in one split.
    """

    chunks: tuple[SplitsRef, ...]
    fitted_keys: Ref
    counts: dict[str, int]
    retold: int
    moved: int


class OverviewHashes(NamedTuple):
    """Two independent hashes of normalised overviews: positions in [0, 1) and ranks, (n,) each."""

    positions: NDArray[np.float64]
    ranks: NDArray[np.uint64]


def hash_overviews(overviews: Iterable[str]) -> OverviewHashes:
    """Salted hashes of overviews, equal where the normalised overviews are."""
    digests = [
        hashlib.sha256(f"{SALT}\n{normalize_overview(overview)}".encode()).digest()
        for overview in overviews
    ]
    positions = [int.from_bytes(digest[:7], "big") / 2**56 for digest in digests]
    ranks = [int.from_bytes(digest[8:16], "big") for digest in digests]
    return OverviewHashes(np.array(positions), np.array(ranks, np.uint64))


def split_at(position: float, config: TextConfig) -> Split:
    """Split of a position: first come test movies, then those of the gate, then validation."""
    if position < config.test_share:
        return "test"
    if position < config.test_share + config.gate_share:
        return "gate"
    held_out = config.test_share + config.gate_share + config.validation_share
    return "validation" if position < held_out else "train"


def split_of_overview(overview: str, config: TextConfig) -> Split:
    """Split of a movie that no other text is about."""
    return split_at(float(hash_overviews([overview]).positions[0]), config)


def movie_keys(movies: pa.Table) -> Keys:
    """Keys by which movies are about the same film; columns `title`, `year`, `overview`."""
    titles, years, overviews = (movies[name].to_pylist() for name in KEY_COLUMNS)
    keys = [
        (_key(normalize_overview(overview)), _key(f"{fold(title)}\n{year}") if year else NO_YEAR)
        for title, year, overview in zip(titles, years, overviews, strict=True)
    ]
    return np.array(keys, np.uint64).reshape(-1, 2)


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") | 1  # never NO_YEAR


def films_of(keys: Keys) -> NDArray[np.int32]:
    """Number of the film (n,) that each movie is about, directly or through other movies."""
    movies = np.tile(np.arange(len(keys)), 2)
    values = keys.T.ravel()
    is_key = values != NO_YEAR
    names, columns = np.unique(values[is_key], return_inverse=True)
    size = len(keys) + len(names)
    edges = (np.ones(is_key.sum(), bool), (movies[is_key], len(keys) + columns))
    _, films = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    numbers: NDArray[np.int32] = films[: len(keys)]
    return numbers


def film_positions(films: NDArray[np.int32], hashes: OverviewHashes) -> NDArray[np.float64]:
    """Position (n,) of each movie's film: that of its overview with the smallest rank.

    The rank is another hash, since the smallest position of several would more often be in test.
    """
    order = np.lexsort((hashes.ranks, films))
    _, first = np.unique(films[order], return_index=True)
    positions: NDArray[np.float64] = hashes.positions[order[first]][films]
    return positions


def splits_of(movies: pa.Table, config: TextConfig) -> list[Split]:
    """Split of every movie (columns `title`, `year`, `overview`) of all sources of a run."""
    hashes = hash_overviews(movies["overview"].to_pylist())
    positions = film_positions(films_of(movie_keys(movies)), hashes)
    return [split_at(position, config) for position in positions.tolist()]


def keys_in_several_splits(keys: Keys, splits: Sequence[str]) -> int:
    """Number of keys that movies of different splits have."""
    _, split_codes = np.unique(splits, return_inverse=True)
    values, codes = keys.T.ravel(), np.tile(split_codes, 2)
    is_key = values != NO_YEAR
    pairs = np.unique(np.column_stack([values[is_key], codes[is_key].astype(np.uint64)]), axis=0)
    _, counts = np.unique(pairs[:, 0], return_counts=True)
    return int((counts > 1).sum())


def is_fitted_on(keys: Keys, fitted_keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether a model was fitted on a text about the film of each movie, (n,)."""
    return np.asarray(np.isin(keys, fitted_keys).any(axis=1))


def _read_keys(chunks: Sequence[MoviesRef]) -> tuple[Keys, OverviewHashes]:
    """Keys and hashes of the movies of all chunks; one chunk of texts is in memory at a time."""
    keys, hashes = list[Keys](), list[OverviewHashes]()
    for chunk in chunks:
        movies = store.read(chunk, KEY_COLUMNS)
        keys.append(movie_keys(movies))
        hashes.append(hash_overviews(movies["overview"].to_pylist()))
    positions, ranks = (np.concatenate(parts) for parts in zip(*hashes, strict=True))
    return np.concatenate(keys), OverviewHashes(positions, ranks)


def _write_splits(
    chunks: Sequence[MoviesRef], config: TextConfig, writer: store.EntryWriter
) -> MovieSplits:
    keys, hashes = _read_keys(chunks)
    films = films_of(keys)
    by_overview = np.array([split_at(position, config) for position in hashes.positions.tolist()])
    positions = film_positions(films, hashes)
    splits = np.array([split_at(position, config) for position in positions.tolist()])
    to_fit = keys[np.isin(splits, ["train", "validation"])]
    np.save(writer.folder / FITTED_KEYS, np.unique(to_fit[to_fit != NO_YEAR]))
    return MovieSplits(
        chunks=tuple(_write_chunks(chunks, splits, writer)),
        fitted_keys=writer.file_ref(Ref, FITTED_KEYS),
        counts=dict(Counter(splits.tolist())),
        retold=int((np.bincount(films)[films] > 1).sum()),
        moved=int((splits != by_overview).sum()),
    )


def _write_chunks(
    chunks: Sequence[MoviesRef], splits: NDArray[np.str_], writer: store.EntryWriter
) -> Iterator[SplitsRef]:
    first_row = 0
    for number, chunk in enumerate(chunks):
        table = pa.table({"split": splits[first_row : first_row + chunk.rows]})
        yield writer.table_ref(SplitsRef, f"splits-{number:05d}.parquet", table)
        first_row += chunk.rows


@stage_task("assign-splits")
def assign_splits(chunks: Sequence[MoviesRef], config: TextConfig) -> MovieSplits:
    """Split of every movie of all chunks, one output for each chunk."""
    shares = config.model_dump(include={"test_share", "gate_share", "validation_share"})
    splits = store.get_or_create(
        "splits",
        [shares, *(chunk.digest for chunk in chunks)],
        MovieSplits,
        lambda writer: _write_splits(chunks, config, writer),
    )
    get_run_logger().info(
        "%s; %d movies share title and year or overview with another, %d of them changed the split",
        ", ".join(f"{name} {count}" for name, count in splits.counts.items()),
        splits.retold,
        splits.moved,
    )
    return splits
