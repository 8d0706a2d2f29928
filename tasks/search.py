"""A published version of the index -> movies found by title, and what lists are made from.

A version is small beside what it is asked: its profiles are held in memory and every movie is
ranked, which on 45k movies takes less time than one full-text search. In large versions, whose
vectors are indexed, LanceDB says which vectors are worth comparing.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from tasks.catalogue import NEAREST, Catalogue
from tasks.contracts import IndexRef, UserError
from tasks.rank import Profiles
from tasks.text import fold

if TYPE_CHECKING:
    from lancedb.table import LanceTable, Table

VECTORS = "content"
PROBES = 20  # partitions of it that are searched
COLUMNS = ["source", "id", "title", "year", "genres"]


class Titles(NamedTuple):
    """Outcome of a title look-up: movies of that title, else the nearest titles."""

    found: list[dict[str, Any]]
    suggestions: list[dict[str, Any]]


def quoted(text: str) -> str:
    """A SQL string literal: LanceDB filters take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def open_version(uri: str, tag: str) -> "LanceTable":
    """The table of a published version; no later one changes it.

    Raises:
        UserError: it is not there, or not any more.
    """
    import lancedb  # takes a while to load, and training itself does not need it

    try:
        return lancedb.connect(uri).open_table(tag)
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"The index {tag} is not in {uri}: train again, or roll back.") from error


def find_title(table: "Table", title: str, year: int | None = None) -> Titles:
    """Look a title up: exact, then without case, accents and punctuation, then near ones.

    A year at the end in parentheses (`Cinderella (2015)`) tells remakes apart.
    """
    asked = " ".join(title.split())
    found = _titled(table, asked, year)
    if not found and (match := re.fullmatch(r"(.+?)\s*\((\d{4})\)", asked)):
        found = _titled(table, match[1], int(match[2]))
    return Titles(found, [] if found else near_titles(table, asked))


def _titled(table: "Table", title: str, year: int | None) -> list[dict[str, Any]]:
    """Movies of that exact title; where there is none, those of the same folded one."""
    where = f"title_key = {quoted(fold(title))}" + (f" AND year = {int(year)}" if year else "")
    found = table.search().where(where).select(COLUMNS).limit(50).to_list()
    exact = [movie for movie in found if " ".join(movie["title"].split()) == title]
    return sorted(exact or found, key=lambda movie: (movie["year"] or 0, movie["id"]))


def near_titles(table: "Table", title: str, limit: int = 5) -> list[dict[str, Any]]:
    """Titles that share most three-letter sequences with what was typed."""
    from lancedb.query import MatchQuery

    query = table.search(MatchQuery(title, "title"), query_type="fts")
    found = query.select([*COLUMNS, "_score"]).limit(limit).to_list()
    return [{name: movie[name] for name in COLUMNS} for movie in found]


def itself(movie: dict[str, Any]) -> str:
    """The filter that leaves one movie of the table."""
    return f"(id = {int(movie['id'])} AND source = {quoted(movie['source'])})"


def overview_of(table: "Table", movie: dict[str, Any]) -> str:
    """The stored text of a movie of the table."""
    (row,) = table.search().where(itself(movie)).select(["overview"]).limit(1).to_list()
    return str(row["overview"])


def unknown_title(title: str, suggestions: Sequence[dict[str, Any]]) -> UserError:
    """The error of a look-up that found nothing."""
    near = "; ".join(shown(movie) for movie in suggestions)
    hint = f" Did you mean: {near}?" if near else ""
    return UserError(f"No movie is called '{title}'.{hint}")


def shown(movie: dict[str, Any]) -> str:
    """`Title (year)`."""
    return f"{movie['title']} ({movie['year']})" if movie["year"] else str(movie["title"])


def has_ann(table: "Table") -> bool:
    """Whether the version's vectors are indexed."""
    return any(VECTORS in index.columns for index in table.list_indices())


def nearest(table: "Table", vector: Sequence[float], limit: int, exact: bool = False) -> pa.Table:
    """`source` and `id` of the rows nearest by cosine, by the vector index or without it."""
    query = table.search(list(vector), vector_column_name=VECTORS).distance_type("cosine")
    query = query.bypass_vector_index() if exact else query.nprobes(PROBES)
    found: pa.Table = query.select(["source", "id", "_distance"]).limit(limit).to_arrow()
    return found


class Version(NamedTuple):
    """An opened version: the table for look-ups, the catalogue for ranking."""

    table: "LanceTable"
    catalogue: Catalogue
    ann: bool

    def near(self, queries: Profiles) -> list[int] | None:
        """Rows whose vectors are nearest to the queries', where the version's are indexed."""
        if not self.ann:
            return None
        found = [nearest(self.table, vector.tolist(), NEAREST) for vector in queries.content]
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


def opened(index: IndexRef) -> Version:
    """The version that a reference names."""
    return load_version(index.uri, index.tag)
