"""Source row -> valid movie, or rejected row with column and reason, which goes to quarantine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.core.contracts import MOVIES, QUARANTINE
from tasks.data.cells import (
    Reason,
    clean_text,
    content_id,
    is_missing,
    overview_problem,
    parse_count,
    parse_id,
    parse_imdb_id,
    parse_number_id,
    parse_year,
)
from tasks.data.companions.people import read_readable_people
from tasks.data.conventions import USUAL, Conventions, genres_of, row_key
from tasks.data.files.delimited import DamagedLine, Record
from tasks.data.genre_names import genre_name
from tasks.data.name_lists import parse_keywords
from tasks.data.row_counts import ChunkResult
from tasks.data.sources import Source
from tasks.data.titles import DatedTitle, read_dated_title, with_leading_article

MAX_VALUE_LENGTH = 200  # characters of a rejected cell that the quarantine keeps
MAX_FLAG_WORDS = 2  # a longer text in the column `adult` is one of another column
ONE_NAME = "\0"  # a separator that no cell has
Movie = dict[str, Any]


class RejectedRow(NamedTuple):
    """Why a row is rejected: column, reason and raw value of the invalid cell."""

    column: str
    reason: Reason
    value: str


@dataclass
class IngestState:
    """State between the chunks of a source: its name, how it is written, and what was read so far.

    `joined` has names by movie id for columns of `MOVIES`: those of keywords and credits files.
    `title_hashes` of the kept movies by id. `spellings` has the name of each genre by its spelling.
    """

    name: str
    joined: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    conventions: Conventions = USUAL
    title_hashes: dict[str, int] = field(default_factory=dict)
    spellings: dict[str, str] = field(default_factory=dict)


def read_movie(cells: Mapping[str, str], row: int, state: IngestState) -> Movie | RejectedRow:
    """A movie (`MOVIES` without `source`) from the cells of a row, or the first reason against it.

    `cells` has field names as keys; `row` is the row number in the file.
    """
    if len(cells.get("adult", "").split()) > MAX_FLAG_WORDS:
        return RejectedRow("adult", "shifted_row", cells["adult"])
    dated, overview = _read_title(cells["title"], state), clean_text(cells["overview"])
    released, is_year_first = cells.get("release_date", ""), state.conventions.is_year_first
    year = parse_year(released, is_year_first=is_year_first) or dated.year
    movie_id = _read_id(cells, f"{dated.title}\n{year}\n{overview}", state)
    if movie_id is None:
        return RejectedRow("id", "bad_id", cells["id"])
    if not dated.title:
        return RejectedRow("title", "missing_title", cells["title"])
    if problem := _overview_problem(overview, state):
        return RejectedRow("overview", problem, cells["overview"])
    try:
        genres = _read_genres(cells, state)
    except ValueError:
        return RejectedRow("genres", "unreadable_genres", cells.get("genres", ""))
    required = {"id": movie_id, "title": dated.title, "overview": overview, "genres": genres}
    return {**required, "year": year, **_optional_values(cells, state), "row": row}


def _read_title(cell: str, state: IngestState) -> DatedTitle:
    title = clean_text(cell)
    if state.conventions.has_dated_titles:
        return read_dated_title(title)
    return DatedTitle(with_leading_article(title), None)


def _read_id(cells: Mapping[str, str], content: str, state: IngestState) -> str | None:
    """The id; one of the content if the file has none; None if it is damaged or missing."""
    if "id" not in cells:
        return content_id(content)
    if state.conventions.has_number_ids:
        return parse_number_id(cells["id"]) or parse_imdb_id(cells["id"])
    return parse_id(cells["id"])


def _overview_problem(overview: str, state: IngestState) -> Reason | None:
    if problem := overview_problem(overview):
        return problem
    return "repeated_overview" if state.conventions.is_repeated(overview) else None


def _read_genres(cells: Mapping[str, str], state: IngestState) -> list[str]:
    spellings = genres_of(cells, state.conventions)
    for spelling in spellings:
        if spelling not in state.spellings:
            state.spellings[spelling] = genre_name(spelling)
    return list(dict.fromkeys(map(state.spellings.__getitem__, spellings)))


def _optional_values(cells: Mapping[str, str], state: IngestState) -> Movie:
    """Values that may be missing; an unreadable cell counts as missing."""
    collections = _names_or_none(cells.get("belongs_to_collection", ""), ONE_NAME)
    keywords = _names_or_none(cells.get("keywords", ""), state.conventions.separator("keywords"))
    language = clean_text(cells.get("original_language", ""))
    imdb_id = parse_imdb_id(cells.get("imdb_id", "")) or parse_imdb_id(cells.get("id", ""))
    return {
        "keywords": list(keywords),
        "people": list(read_readable_people(cells, state.conventions.separators)),
        "imdb_id": imdb_id,
        "language": None if is_missing(language) else language,
        "collection": next(iter(collections), None),
        "vote_count": parse_count(cells.get("vote_count", "")),
    }


def _names_or_none(text: str, separator: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        return parse_keywords(text, separator)
    except ValueError:
        return ()


def check_row(source: Source, record: Record, row: int, state: IngestState) -> Movie | RejectedRow:
    """Like `read_movie`, after checking that the row has one field for each column.

    A rejected row has the column name of the file.
    """
    if isinstance(record, DamagedLine):
        return RejectedRow(source.header[0], "damaged_line", record.text)
    n_columns = len(source.header)
    if record == source.header:
        return RejectedRow(source.header[0], "repeated_header", record[0])
    if len(record) < n_columns:
        return RejectedRow(source.header[len(record)], "shifted_row", ",".join(record))
    if len(record) > n_columns:
        extra_fields = ",".join(record[n_columns - 1 :])
        return RejectedRow(source.header[-1], "shifted_row", extra_fields)
    cells = {name: record[column] for name, column in source.positions.items()}
    result = _reject_repeated(cells, read_movie(cells, row, state), state)
    if isinstance(result, RejectedRow):
        return result._replace(column=_column_name(source, result.column))
    return result


def _column_name(source: Source, field: str) -> str:
    position = source.positions.get(field)
    return field if position is None else source.header[position]


def _reject_repeated(
    cells: Mapping[str, str], result: Movie | RejectedRow, state: IngestState
) -> Movie | RejectedRow:
    """Reject a movie whose id an earlier row has; of a file with one row a genre, that row has all
    of its genres."""
    if isinstance(result, RejectedRow) or result["id"] not in state.title_hashes:
        return result
    is_same = state.title_hashes[result["id"]] == hash(result["title"])
    is_folded = is_same and row_key(cells) in state.conventions.other_genres
    return RejectedRow("id", "folded_row" if is_folded else "duplicate_id", result["id"])


def validate_rows(
    source: Source, rows: Sequence[tuple[int, Record]], state: IngestState
) -> ChunkResult:
    """Keep or quarantine each numbered row; adds the ids of kept movies to `state`."""
    movies, quarantine = list[Movie](), list[dict[str, Any]]()
    for row, record in rows:
        result = check_row(source, record, row, state)
        if isinstance(result, RejectedRow):
            rejected = result._replace(value=result.value[:MAX_VALUE_LENGTH])
            quarantine.append({"source": source.name, "row": row, **rejected._asdict()})
            continue
        state.title_hashes[result["id"]] = hash(result["title"])
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
