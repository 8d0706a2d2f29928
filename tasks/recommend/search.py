"""A published version of the index -> movies found by title, and what lists are made from.

A version is small beside what it is asked: its profiles are held in memory and every movie is
ranked, which on 45k movies takes less time than one full-text search. In large versions, whose
vectors are indexed, LanceDB says which vectors are worth comparing.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from tasks.core.contracts import DamagedVersionError, IndexRef, UserError
from tasks.core.storage.remote import is_url
from tasks.core.text import fold
from tasks.recommend.catalogue import NEAREST, Catalogue
from tasks.recommend.scoring import ItemFeatures

if TYPE_CHECKING:
    from lancedb.table import LanceTable, Table

logger = logging.getLogger(__name__)
#: What LanceDB says of a table or file that is not there, and of a fault that is none of the index.
GONE = ("not found", "does not exist", "no such file", "nosuchkey")
PASSING = ("permission denied", "too many open files", "input/output error", "out of memory")
VECTORS = "content"
PROBES = 20  # partitions of it that are searched
COLUMNS = ["source", "id", "title", "year", "genres"]


class TitleMatches(NamedTuple):
    """Outcome of a title look-up: movies of that title, else the nearest titles."""

    movies: list[dict[str, Any]]
    suggestions: list[dict[str, Any]]


def sql_literal(text: str) -> str:
    """A SQL string literal: LanceDB filters take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def open_version(uri: str, tag: str) -> "LanceTable":
    """The table of a published version; no later one changes it.

    Raises:
        DamagedVersionError: it is not there, not any more, or damaged.
        OSError: it cannot be read at the moment.
    """
    import lancedb  # takes a while to load, and training itself does not need it

    with index_errors(uri, tag):
        return lancedb.connect(uri).open_table(tag)


@contextmanager
def index_errors(uri: str, tag: str) -> Iterator[None]:
    """Tell damage of an index from what may pass: a store that is away, too many open files.

    Raises:
        DamagedVersionError: a file of it is gone, or cannot be read for what it holds.
        OSError: it cannot be read at the moment.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        text = str(error).lower()
        gone = isinstance(error, FileNotFoundError) or any(sign in text for sign in GONE)
        passing = isinstance(error, OSError) or any(sign in text for sign in PASSING)
        if gone or not (passing or is_url(uri)):
            raise DamagedVersionError(f"The index {tag} is not in {uri}, or damaged") from error
        raise OSError(f"The index {tag} in {uri} cannot be read: {error}") from error


def find_title(version: "Version", title: str, year: int | None = None) -> TitleMatches:
    """Look a title up: exact, then without case, accents and punctuation, then near ones.

    A year at the end in parentheses (`Cinderella (2015)`) tells remakes apart.
    """
    asked = " ".join(title.split())
    found = _titled(version.catalogue, asked, year)
    if not found and (match := re.fullmatch(r"(.+?)\s*\((\d{4})\)", asked)):
        found = _titled(version.catalogue, match[1], int(match[2]))
    return TitleMatches(found, [] if found else similar_titles(version, asked))


def _titled(catalogue: Catalogue, title: str, year: int | None) -> list[dict[str, Any]]:
    """Movies of that exact title; where there is none, those of the same folded one."""
    rows = (catalogue.movie(row) for row in catalogue.rows_with_title(fold(title)))
    movies = [
        {name: movie[name] for name in COLUMNS} for movie in rows if year in (None, movie["year"])
    ]
    exact = [movie for movie in movies if " ".join(movie["title"].split()) == title]
    return sorted(exact or movies, key=lambda movie: (movie["year"] or 0, movie["id"]))


def similar_titles(version: "Version", title: str, limit: int = 5) -> list[dict[str, Any]]:
    """As `near_titles`; none where the table was deleted since the version was opened."""
    try:
        return fuzzy_titles(version.table, title, limit)
    except (OSError, RuntimeError, ValueError) as error:
        logger.info("The index %s is gone, no title is suggested: %s", version.table.name, error)
        return []


def fuzzy_titles(table: "Table", title: str, limit: int = 5) -> list[dict[str, Any]]:
    """Titles that share most three-letter sequences with what was typed."""
    from lancedb.query import MatchQuery

    query = table.search(MatchQuery(title, "title"), query_type="fts")
    found = query.select([*COLUMNS, "_score"]).limit(limit).to_list()
    return [{name: movie[name] for name in COLUMNS} for movie in found]


def unknown_title(title: str, suggestions: Sequence[dict[str, Any]]) -> UserError:
    """The error of a look-up that found nothing."""
    near = "; ".join(title_with_year(movie) for movie in suggestions)
    hint = f" Did you mean: {near}?" if near else ""
    return UserError(f"No movie is called '{title}'.{hint}")


def title_with_year(movie: dict[str, Any]) -> str:
    """`Title (year)`."""
    return f"{movie['title']} ({movie['year']})" if movie["year"] else str(movie["title"])


def has_ann(table: "Table") -> bool:
    """Whether the version's vectors are indexed."""
    return any(VECTORS in index.columns for index in table.list_indices())


def nearest_vectors(
    table: "Table", vector: Sequence[float], limit: int, exact: bool = False
) -> pa.Table:
    """`source` and `id` of the rows nearest by cosine, by the vector index or without it."""
    query = table.search(list(vector), vector_column_name=VECTORS).distance_type("cosine")
    query = query.bypass_vector_index() if exact else query.nprobes(PROBES)
    found: pa.Table = query.select(["source", "id", "_distance"]).limit(limit).to_arrow()
    return found


class Version(NamedTuple):
    """An opened version: the catalogue for look-ups and ranking, the table for what is too large.

    The catalogue is in memory: a reader keeps answering after the version's table was deleted.
    """

    table: "LanceTable"
    catalogue: Catalogue
    ann: bool

    def nearest_rows(self, queries: ItemFeatures) -> list[int] | None:
        """Rows whose vectors are nearest to the queries', where the version's are indexed."""
        if not self.ann:
            return None
        try:
            found = [
                nearest_vectors(self.table, vector.tolist(), NEAREST) for vector in queries.content
            ]
        except (OSError, RuntimeError, ValueError) as error:
            logger.info("The index %s is gone, all movies are compared: %s", self.table.name, error)
            return None
        at = self.catalogue.positions
        return [
            at[pair]
            for hits in found
            for pair in zip(hits["source"].to_pylist(), hits["id"].to_pylist(), strict=True)
        ]


@lru_cache(maxsize=2)
def load_version(uri: str, tag: str) -> Version:
    """Open a version and read what ranking needs; a version never changes."""
    table = open_version(uri, tag)
    return Version(table, Catalogue(table.to_arrow()), has_ann(table))


def get_version(index: IndexRef) -> Version:
    """The version that a reference names."""
    return load_version(index.uri, index.tag)
