"""Files beside a source that evaluation reads: MovieLens ratings, and questions for known items."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.core.contracts import KnownItemsRef, RatingsRef, UserError
from tasks.core.storage import store
from tasks.data.cells import clean_text, parse_id
from tasks.data.download import is_uri
from tasks.data.files.delimited import Record
from tasks.data.files.tables import open_table
from tasks.data.sources import KAGGLE_RATINGS, resolve_source, strip_name

KNOWN_ITEMS = "known_items.csv"


class KnownItem(NamedTuple):
    """A question that describes a movie in other words, and the id of that movie."""

    id: str
    query: str


def find_ratings(sources: Sequence[str]) -> RatingsRef | None:
    """Ratings and links from the folder of the first source that has both; None without."""
    for name, movies in _local_movies(sources):
        ratings, links = (movies.with_name(file) for file in KAGGLE_RATINGS)
        if ratings.is_file() and links.is_file():
            digest = ratings_digest((ratings, links))
            return RatingsRef(source=name, files=(ratings, links), digest=digest)
    return None


def find_known_items(sources: Sequence[str]) -> KnownItemsRef | None:
    """`known_items.csv` from the folder of the first source that has one; None without."""
    for name, movies in _local_movies(sources):
        file = movies.with_name(KNOWN_ITEMS)
        if file.is_file():
            return KnownItemsRef(source=name, file=file, digest=store.file_digest(file))
    return None


def _local_movies(sources: Sequence[str]) -> list[tuple[str, Path]]:
    """Name and first file of every source on disk; downloaded copies are alone in their folder."""
    local = [resolve_source(source) for source in sources if not is_uri(strip_name(source))]
    return [(source.name, source.files[0].absolute()) for source in local]


def ratings_digest(files: Sequence[Path]) -> str:
    """SHA-256 of the digests of the ratings and links files."""
    return store.sha256(store.file_digest(file).encode() for file in files)


def require_same_ratings(ratings: RatingsRef) -> None:
    """Raise UserError if the ratings files have changed since their digest was computed."""
    if ratings_digest(ratings.files) != ratings.digest:
        raise _changed(" or ".join(file.name for file in ratings.files))


def require_same_file(known_items: KnownItemsRef) -> None:
    """Raise UserError if the file has changed since its digest was computed."""
    if store.file_digest(known_items.file) != known_items.digest:
        raise _changed(known_items.file.name)


def _changed(name: str) -> UserError:
    return UserError(f"{name} changed while it was read: run again when it is complete.")


def read_known_items(path: Path) -> list[KnownItem]:
    """Questions in the order of a file with columns `id` and `query`; others are not read.

    Raises:
        UserError: the file cannot be read, lacks a column, or has an invalid row.
    """
    header, rows, _ = open_table(path)
    for column in ("id", "query"):
        if column not in header:
            raise UserError(f"{path}: no column '{column}' (has: {', '.join(header)[:300]}).")
    return [_known_item(f"{path}: row {row}", header, fields) for row, fields in enumerate(rows, 1)]


def _known_item(place: str, header: list[str], fields: Record) -> KnownItem:
    if len(fields) != len(header):
        raise UserError(
            f"{place} has {len(fields)} fields, the header has {len(header)}. "
            "Put a query with commas between double quotes."
        )
    cells = dict(zip(header, fields, strict=True))
    movie_id, query = parse_id(cells["id"]), clean_text(cells["query"])
    if movie_id is None:
        raise UserError(f"{place}, column 'id': '{cells['id'][:50]}' is no id.")
    if not query:
        raise UserError(f"{place}, column 'query': the question is empty.")
    return KnownItem(movie_id, query)
