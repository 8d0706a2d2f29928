"""Source row -> valid movie, or rejected row with column and reason, which goes to quarantine."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.core.contracts import MOVIES, QUARANTINE
from tasks.data.companions.people import read_readable_people
from tasks.data.parsing import (
    Reason,
    clean_text,
    overview_problem,
    parse_count,
    parse_id,
    parse_imdb_id,
    parse_names,
    parse_names_or_empty,
    parse_year,
)
from tasks.data.row_counts import ChunkResult
from tasks.data.sources import Source

MAX_VALUE_LENGTH = 200  # characters of a rejected cell that the quarantine keeps
FLAGS = ("", "true", "false", "0", "1")  # values of the column `adult`
Movie = dict[str, Any]


class RejectedRow(NamedTuple):
    """Why a row is rejected: column, reason and raw value of the invalid cell."""

    column: str
    reason: Reason
    value: str


class IngestState(NamedTuple):
    """State between the chunks of a source: its name, ids already kept, and names to join.

    `joined` has names by movie id for columns of `MOVIES`: those of keywords and credits files.
    """

    name: str
    seen_ids: set[int]
    joined: Mapping[str, Mapping[int, Sequence[str]]]


def read_movie(cells: Mapping[str, str], row: int) -> Movie | RejectedRow:
    """A movie (`MOVIES` without `source`) from the cells of a row, or the first reason against it.

    `cells` has field names as keys; `row` is the row number in the file.
    """
    required = _required_values(cells)
    if isinstance(required, RejectedRow):
        return required
    return {**required, **_optional_values(cells), "row": row}


def _required_values(cells: Mapping[str, str]) -> Movie | RejectedRow:
    if cells.get("adult", "").strip().casefold() not in FLAGS:  # text of another column
        return RejectedRow("adult", "shifted_row", cells["adult"])
    movie_id = parse_id(cells["id"])
    if movie_id is None:
        return RejectedRow("id", "bad_id", cells["id"])
    title, overview = clean_text(cells["title"]), clean_text(cells["overview"])
    if not title:
        return RejectedRow("title", "missing_title", cells["title"])
    if problem := overview_problem(overview):
        return RejectedRow("overview", problem, cells["overview"])
    try:
        genres = parse_names(cells.get("genres", ""))
    except ValueError:
        return RejectedRow("genres", "unreadable_genres", cells.get("genres", ""))
    return {"id": movie_id, "title": title, "overview": overview, "genres": list(genres)}


def _optional_values(cells: Mapping[str, str]) -> Movie:
    """Values that may be missing; an unreadable cell counts as missing."""
    collections = parse_names_or_empty(cells.get("belongs_to_collection", ""))
    return {
        "keywords": list(parse_names_or_empty(cells.get("keywords", ""))),
        "people": list(read_readable_people(cells)),
        "imdb_id": parse_imdb_id(cells.get("imdb_id", "")),
        "year": parse_year(cells.get("release_date", "")),
        "language": clean_text(cells.get("original_language", "")) or None,
        "collection": next(iter(collections), None),
        "vote_count": parse_count(cells.get("vote_count", "")),
    }


def check_row(source: Source, fields: list[str], row: int) -> Movie | RejectedRow:
    """Like `read_movie`, after checking that the row has one field for each column.

    A rejected row has the column name of the file.
    """
    n_columns = len(source.header)
    if len(fields) < n_columns:
        return RejectedRow(source.header[len(fields)], "shifted_row", ",".join(fields))
    if len(fields) > n_columns:
        extra_fields = ",".join(fields[n_columns - 1 :])
        return RejectedRow(source.header[-1], "shifted_row", extra_fields)
    result = read_movie({name: fields[column] for name, column in source.positions.items()}, row)
    if isinstance(result, RejectedRow):
        return result._replace(column=source.header[source.positions[result.column]])
    return result


def validate_rows(
    source: Source, rows: Sequence[tuple[int, list[str]]], state: IngestState
) -> ChunkResult:
    """Keep or quarantine each numbered row; adds the ids of kept movies to `state`."""
    movies, quarantine = list[Movie](), list[dict[str, Any]]()
    for row, fields in rows:
        result = _reject_duplicate(source, check_row(source, fields, row), state)
        if isinstance(result, RejectedRow):
            rejected = result._replace(value=result.value[:MAX_VALUE_LENGTH])
            quarantine.append({"source": source.name, "row": row, **rejected._asdict()})
            continue
        state.seen_ids.add(result["id"])
        movies.append(_join_names(result, state) | {"source": state.name})
    return ChunkResult(
        movies=pa.Table.from_pylist(movies, MOVIES),
        quarantine=pa.Table.from_pylist(quarantine, QUARANTINE),
        rows=len(rows),
    )


def _join_names(movie: Movie, state: IngestState) -> Movie:
    """The movie with its joined names after those of its row, each once."""
    return movie | {
        column: list(dict.fromkeys([*movie[column], *names.get(movie["id"], ())]))
        for column, names in state.joined.items()
    }


def _reject_duplicate(
    source: Source, result: Movie | RejectedRow, state: IngestState
) -> Movie | RejectedRow:
    """Reject a movie whose id an earlier row of the source has."""
    if isinstance(result, RejectedRow) or result["id"] not in state.seen_ids:
        return result
    column = source.header[source.positions["id"]]
    return RejectedRow(column, "duplicate_id", str(result["id"]))
