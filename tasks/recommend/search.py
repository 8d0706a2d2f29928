"""A published index version -> an opened version: title look-up and nearest embeddings.

The movies of a version are loaded into memory and a query is compared with all of them, which for
45,000 movies is faster than one full-text search. Large versions have an approximate vector index,
which selects the embeddings that are worth comparing.
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
from tasks.core.text import fold, strip_accents
from tasks.recommend.catalogue import NEAREST, Catalogue
from tasks.recommend.scoring import ItemFeatures

if TYPE_CHECKING:
    from lancedb.table import LanceTable, Table

logger = logging.getLogger(__name__)
#: Parts of LanceDB's messages about a missing table or file.
MISSING_MESSAGES = ("not found", "does not exist", "no such file", "nosuchkey")
#: Parts of LanceDB's messages about faults that do not mean that the index is damaged.
TRANSIENT_MESSAGES = (
    "permission denied",
    "too many open files",
    "input/output error",
    "out of memory",
)
VECTORS = "content"  # column of the embeddings
PROBES = 20  # partitions of the vector index that a search reads
TITLE_COLUMNS = ["source", "id", "title", "year", "genres"]
Movie = dict[str, Any]


class TitleMatches(NamedTuple):
    """Result of a title look-up: movies with the title, or else movies with similar titles.

    `variants` are movies whose titles differ from it in punctuation or accents. The movies are
    dictionaries of `TITLE_COLUMNS`.
    """

    movies: list[Movie]
    variants: list[Movie]
    suggestions: list[Movie]


class Version(NamedTuple):
    """An opened version: the movies in memory, and the table for title and vector search.

    Queries are still answered after the table was deleted, by the movies in memory alone.
    """

    table: "LanceTable"
    catalogue: Catalogue
    ann: bool

    def nearest_rows(self, queries: ItemFeatures) -> list[int] | None:
        """Rows with the embeddings nearest to those of the queries; None without vector index."""
        if not self.ann:
            return None
        try:
            hits = [nearest_vectors(self.table, v.tolist(), NEAREST) for v in queries.content]
        except (OSError, RuntimeError, ValueError) as error:
            logger.info("Index %s was deleted, comparing all movies: %s", self.table.name, error)
            return None
        return [self.catalogue.positions[key] for table in hits for key in movie_keys(table)]


def sql_literal(text: str) -> str:
    """A SQL string literal: LanceDB filters take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def open_version(uri: str, tag: str) -> "LanceTable":
    """The table of a published version, which later versions do not change.

    Raises:
        DamagedVersionError: the table is missing or damaged.
        OSError: the table cannot be read at the moment.
    """
    import lancedb  # imported late because it is slow and training alone does not need it

    with index_errors(uri, tag):
        return lancedb.connect(uri).open_table(tag)


def read_movies(index: IndexRef, columns: Sequence[str], where: str | None = None) -> pa.Table:
    """Some columns of the movies of a version, by default of all movies.

    Raises:
        DamagedVersionError: the table is missing or damaged.
        OSError: the table cannot be read at the moment.
    """
    table = open_version(index.uri, index.tag)
    query = table.search().select(list(columns)).limit(table.count_rows())  # by default ten rows
    rows: pa.Table = (query.where(where) if where else query).to_arrow()
    return rows


@contextmanager
def index_errors(uri: str, tag: str) -> Iterator[None]:
    """Distinguish a damaged index from transient faults, such as an unreachable store.

    Raises:
        DamagedVersionError: a file of the index is missing or has invalid content.
        OSError: the index cannot be read at the moment.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        text = str(error).lower()
        missing = isinstance(error, FileNotFoundError) or any(m in text for m in MISSING_MESSAGES)
        transient = isinstance(error, OSError) or any(m in text for m in TRANSIENT_MESSAGES)
        if missing or not (transient or is_url(uri)):
            raise DamagedVersionError(f"The index {tag} is not in {uri}, or damaged") from error
        raise OSError(f"The index {tag} in {uri} cannot be read: {error}") from error


def find_title(version: Version, title: str, year: int | None = None) -> TitleMatches:
    """Look up a title: as spelled, else without accents and punctuation, else similar titles.

    A year in parentheses at the end (`Cinderella (2015)`) selects among movies of equal title.
    """
    query = " ".join(title.split())
    movies = _movies_with_title(version.catalogue, query, year)
    if not movies and (match := re.fullmatch(r"(.+?)\s*\((\d{4})\)", query)):
        query = match[1]
        movies = _movies_with_title(version.catalogue, query, int(match[2]))
    spelled = [movie for movie in movies if is_spelled(query, movie["title"])]
    variants = [movie for movie in movies if spelled and movie not in spelled]
    suggestions = [] if movies else similar_titles(version, title)
    return TitleMatches(spelled or movies, variants, suggestions)


def is_spelled(typed: str, title: str) -> bool:
    """Whether a title is equal to the typed one, without case; accents need not be typed.

    `Les Miserables` also spells `Les Misérables`, but `Nô` does not spell `No`.
    """
    written = " ".join(title.split()).casefold()
    return typed.casefold() in (written, strip_accents(written))


def _movies_with_title(catalogue: Catalogue, title: str, year: int | None) -> list[Movie]:
    """Movies with the same folded title, and that year if there is one; the oldest first."""
    same_key = (catalogue.movie(row) for row in catalogue.rows_with_title(fold(title)))
    movies = [_title_columns(movie) for movie in same_key if year in (None, movie["year"])]
    return sorted(movies, key=lambda movie: (movie["year"] or 0, movie["id"]))


def _title_columns(movie: Movie) -> Movie:
    return {name: movie[name] for name in TITLE_COLUMNS}


def similar_titles(version: Version, title: str, limit: int = 5) -> list[Movie]:
    """As `fuzzy_titles`; empty if the table was deleted since the version was opened."""
    try:
        return fuzzy_titles(version.table, title, limit)
    except (OSError, RuntimeError, ValueError) as error:
        logger.info("Index %s was deleted, suggesting no title: %s", version.table.name, error)
        return []


def fuzzy_titles(table: "Table", title: str, limit: int = 5) -> list[Movie]:
    """Movies whose titles share most three-letter sequences with `title`, best first."""
    from lancedb.query import MatchQuery

    query = table.search(MatchQuery(title, "title"), query_type="fts")
    matches = query.select([*TITLE_COLUMNS, "_score"]).limit(limit).to_list()
    return [_title_columns(movie) for movie in matches]


def unknown_title(title: str, suggestions: Sequence[Movie]) -> UserError:
    """The error of a look-up without a match."""
    similar = "; ".join(title_with_year(movie) for movie in suggestions)
    hint = f" Did you mean: {similar}?" if similar else ""
    return UserError(f"No movie is called '{title}'.{hint}")


def title_with_year(movie: Movie) -> str:
    """`Title (year)`, or the title alone if the year is unknown."""
    return f"{movie['title']} ({movie['year']})" if movie["year"] else str(movie["title"])


def has_ann(table: "Table") -> bool:
    """Whether the version has an approximate vector index."""
    return any(VECTORS in index.columns for index in table.list_indices())


def nearest_vectors(
    table: "Table", vector: Sequence[float], limit: int, exact: bool = False
) -> pa.Table:
    """`source` and `id` of the `limit` rows nearest to a vector by cosine.

    With `exact`, all vectors are compared instead of using the vector index.
    """
    query = table.search(list(vector), vector_column_name=VECTORS).distance_type("cosine")
    query = query.bypass_vector_index() if exact else query.nprobes(PROBES)
    hits: pa.Table = query.select(["source", "id", "_distance"]).limit(limit).to_arrow()
    return hits


def movie_keys(movies: pa.Table) -> list[tuple[str, str]]:
    """Source and id of each movie of a table."""
    return list(zip(movies["source"].to_pylist(), movies["id"].to_pylist(), strict=True))


@lru_cache(maxsize=2)
def load_version(uri: str, tag: str) -> Version:
    """Open a version and load its movies; the result is cached because versions never change."""
    table = open_version(uri, tag)
    return Version(table, Catalogue(table.to_arrow()), has_ann(table))


def get_version(index: IndexRef) -> Version:
    """The opened version of an index reference."""
    return load_version(index.uri, index.tag)
