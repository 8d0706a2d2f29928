"""Keywords and credits files -> names by movie id, which are joined to the movies of all sources.

A joined file has no source name: its ids are looked up in every source of a run. Ids that no source
has are ignored; if an id repeats, its last row counts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.core.contracts import UserError
from tasks.core.redaction import redacted
from tasks.data.cells import parse_id
from tasks.data.columns import Columns, find_column
from tasks.data.companions.people import Names, read_people
from tasks.data.files.delimited import Record
from tasks.data.files.tables import open_table
from tasks.data.name_lists import parse_keywords
from tasks.data.sources import Source, download_from_kaggle, resolve_source

NamesById = Mapping[str, Names]


class JoinedFile(NamedTuple):
    """A kind of joined file: the column of `MOVIES` that it fills, its columns, its row reader.

    `read_names` takes the cells of a row by field and raises ValueError if they are unreadable.
    """

    movie_column: str
    fields: Names
    read_names: Callable[[Mapping[str, str]], Names]


class JoinedNames(NamedTuple):
    """Names by movie id, and the number of rows that cannot be read."""

    by_id: NamesById
    unreadable: int


def _read_keywords(cells: Mapping[str, str]) -> Names:
    return parse_keywords(cells["keywords"])


#: Kinds of joined files by the name of their option: `--ingest.keywords`, `--ingest.credits`.
JOINED_FILES = {
    "keywords": JoinedFile("keywords", ("id", "keywords"), _read_keywords),
    "credits": JoinedFile("people", ("id", "cast", "crew"), read_people),
}


def locate_joined_files(locations: Mapping[str, str]) -> dict[str, Path]:
    """Local path of each joined file by kind; remote files and Kaggle's are downloaded.

    Raises:
        UserError: there is no such file, or a pattern matches several.
    """
    return {kind: _local_file(kind, location) for kind, location in locations.items()}


def _local_file(kind: str, location: str) -> Path:
    if location == "kaggle":
        return download_from_kaggle(f"{kind}.csv")
    files = resolve_source(location).files
    if len(files) > 1:
        raise UserError(f"--ingest.{kind} {redacted(location)}: matches {len(files)} files, not 1.")
    return files[0].absolute()


def open_joined_file(kind: str, path: Path, columns: Columns) -> Source:
    """Open a keywords or credits file; its rows are read lazily.

    A column may have the name that `columns` gives it in the source, or a usual name.

    Raises:
        UserError: the file cannot be read or lacks a column.
    """
    table, fields = open_table(path), JOINED_FILES[kind].fields
    header, configured = table.header, columns.model_dump()
    positions: dict[str, int] = {}
    for field in fields:
        position = find_column(field, header, configured)
        position = find_column(field, header, {}) if position is None else position
        if position is None:
            raise UserError(
                f"{path.name}: no column '{field}' (has: {', '.join(header)[:300]}). "
                f"--ingest.{kind} needs columns {', '.join(fields)}."
            )
        positions[field] = position
    return Source(path.name, header, positions=positions, rows=table.rows, format=table.format)


def open_joined_files(locations: Mapping[str, str], columns: Columns) -> dict[str, Source]:
    """Open all joined files; see `locate_joined_files` and `open_joined_file`."""
    paths = locate_joined_files(locations)
    return {kind: open_joined_file(kind, path, columns) for kind, path in paths.items()}


def load_joined_files(locations: Mapping[str, str], columns: Columns) -> dict[str, JoinedNames]:
    """Names of every kind of joined file; none for kinds without a file."""
    names = {kind: JoinedNames({}, 0) for kind in JOINED_FILES}
    for kind, source in open_joined_files(locations, columns).items():
        names[kind] = read_joined_file(source, JOINED_FILES[kind].read_names)
    return names


def read_joined_file(
    source: Source, read_names: Callable[[Mapping[str, str]], Names]
) -> JoinedNames:
    """Names by movie id of all rows, and the number of unreadable rows."""
    by_id: dict[str, Names] = {}
    unreadable = 0
    for fields in source.rows:
        try:
            cells = _cells_of(source, fields)
            by_id[_required_id(cells)] = read_names(cells)
        except ValueError:
            unreadable += 1
    return JoinedNames(by_id, unreadable)


def _cells_of(source: Source, fields: Record) -> dict[str, str]:
    if len(fields) != len(source.header):
        raise ValueError("not one field for each column")
    return {name: fields[column] for name, column in source.positions.items()}


def _required_id(cells: Mapping[str, str]) -> str:
    movie_id = parse_id(cells["id"])
    if movie_id is None:
        raise ValueError("no id")
    return movie_id


def names_by_column(joined: Mapping[str, JoinedNames]) -> dict[str, NamesById]:
    """Names by movie id, for each column of `MOVIES` that joined files fill."""
    return {JOINED_FILES[kind].movie_column: names.by_id for kind, names in joined.items()}
