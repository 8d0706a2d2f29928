"""Recommendation lists -> a JSON or CSV file of TMDB or IMDb ids, as media servers read them."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from tasks.core.contracts import UserError
from tasks.core.files import atomic_write
from tasks.recommend.catalogue import Catalogue

ExportFormat = Literal["json", "csv"]
IdKind = Literal["tmdb", "imdb"]
MovieKey = tuple[str, str]  # source and id
PublicId = int | str
IdList = tuple[PublicId, list[PublicId]]  # a movie and its recommendations, best first
ID_COLUMNS: dict[IdKind, str] = {"tmdb": "id", "imdb": "imdb_id"}
WITHOUT_IDS: dict[IdKind, str] = {
    "tmdb": "No movie of the index has a TMDB id, which is a number. Train on a source whose ids "
    "are those of TMDB, or export with --export-ids imdb.",
    "imdb": "No movie of the index has an IMDb id. Train on a source with a column imdb_id, or "
    "export with --export-ids tmdb.",
}
CSV_COLUMNS = ("id", "rank", "recommended_id")


def public_ids(catalogue: Catalogue, kind: IdKind, source: str | None) -> dict[MovieKey, PublicId]:
    """TMDB or IMDb id of each movie that has one; of movies with the same id, the first.

    `source` is the source whose movies are exported. It may be left out if there is only one.

    Raises:
        UserError: the index has several sources or not this one, or no movie has such an id.
    """
    source = _exported_source(catalogue, source)
    movies = catalogue.movies
    ids = _ids_of_kind(movies, kind)
    keys = zip(movies["source"].to_pylist(), movies["id"].to_pylist(), strict=True)
    of_source = {key: value for key, value in zip(keys, ids, strict=True) if key[0] == source}
    first_keys = {value: key for key, value in reversed(of_source.items()) if value}
    if not first_keys:
        raise UserError(WITHOUT_IDS[kind])
    return {key: value for value, key in reversed(first_keys.items())}


def _ids_of_kind(movies: pa.Table, kind: IdKind) -> Sequence[PublicId | None]:
    """TMDB ids as numbers, IMDb ids as texts; None for a movie without one."""
    column = ID_COLUMNS[kind]
    if column not in movies.column_names:
        return [None] * movies.num_rows
    ids: list[str | None] = movies[column].to_pylist()
    if kind == "imdb":
        return ids
    return [int(value) if value and value.isdecimal() else None for value in ids]


def _exported_source(catalogue: Catalogue, source: str | None) -> str:
    sources = sorted(catalogue.movies["source"].unique().to_pylist())
    if source is None and len(sources) == 1:
        return str(sources[0])
    if source in sources:
        return str(source)
    raise UserError(
        f"The index has the sources {', '.join(sources)}. "
        "Name the one whose movies are exported with --export-source."
    )


def id_lists(chunks: Iterable[pa.Table], ids: Mapping[MovieKey, PublicId]) -> Iterator[IdList]:
    """The lists of `lists_table` chunks by public id; movies without a public id are left out."""
    for chunk in chunks:
        lists = dict[PublicId, list[PublicId]]()
        names = ("source", "id", "like_source", "like_id")
        columns = [chunk[name].to_pylist() for name in names]
        for source, movie_id, like_source, like_id in zip(*columns, strict=True):
            movie, recommended = ids.get((source, movie_id)), ids.get((like_source, like_id))
            if movie is not None and recommended is not None:
                lists.setdefault(movie, []).append(recommended)
        yield from lists.items()


def write_export(lists: Iterable[IdList], path: Path, export_format: ExportFormat) -> int:
    """Write lists atomically; returns their number. Equal lists give equal files."""
    write = {"json": _write_json, "csv": _write_csv}[export_format]
    with atomic_write(path) as new:
        return write(lists, new)


def _write_json(lists: Iterable[IdList], path: Path) -> int:
    """One object, with a line for each movie: its id and the list of recommended ids."""
    lines = [f"{json.dumps(str(movie))}: {json.dumps(recommended)}" for movie, recommended in lists]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return len(lines)


def _write_csv(lists: Iterable[IdList], path: Path) -> int:
    """The `CSV_COLUMNS`, with a row for each recommendation; `rank` starts at 1."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for movie, recommended in lists:
            count += 1
            rows = [(movie, rank, value) for rank, value in enumerate(recommended, 1)]
            writer.writerows(rows)
    return count
