"""Column names of a file -> which column holds which field of a movie."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pydantic import Field

from tasks.core.contracts import UserError
from tasks.core.strict_config import StrictConfig

#: Usual column names by field, without case and punctuation, in the order in which they are tried.
ALIASES = {
    "id": (
        *("id", "movieid", "tmdbid", "showid", "imdbid", "tconst", "imdbtitleid", "titleid"),
        *("filmid", "itemid", "uid"),
    ),
    "title": (
        *("title", "name", "names", "seriestitle", "movietitle", "primarytitle", "moviename"),
        *("filmtitle", "filmname", "film", "movie", "originaltitle"),
    ),
    "overview": (
        *("overview", "plot", "description", "extract", "plotsynopsis", "synopsis", "storyline"),
        *("plotsummary", "summary", "plotoutline", "movieinfo", "story", "desc", "about"),
    ),
    "genres": ("genres", "genre", "listedin", "genrenames", "maingenre", "categories", "category"),
    "release_date": (
        *("releasedate", "year", "releasedyear", "releaseyear", "startyear", "titleyear"),
        *("datepublished", "originalreleasedate", "released", "datex", "date"),
    ),
    "original_language": ("originallanguage", "language", "origlang", "lang"),
    "belongs_to_collection": ("belongstocollection", "collection", "franchise"),
    "vote_count": ("votecount", "numvotes", "noofvotes", "numberofvotes", "numvotedusers", "votes"),
    "keywords": ("keywords", "plotkeywords", "tags"),
    "director": ("director", "directors", "directorname"),
    "cast": ("cast", "actors", "stars"),
    "crew": ("crew",),
    "imdb_id": ("imdbid", "tconst", "imdbtitleid"),
    "adult": ("adult",),
}
IDS = ("id", "ids")  # names end so that are no text
REQUIRED = ("title", "overview", "genres")


class Columns(StrictConfig):
    """Column names of the source, if they differ from the usual names (`ALIASES`)."""

    id: str | None = Field(
        None,
        description="Column with the movie id; default: a usual name, such as id or movieId. "
        "Without one, ids are made from title, year and overview",
    )
    title: str | None = Field(
        None, description="Column with the title; default: a usual name, such as title or name"
    )
    overview: str | None = Field(
        None,
        description="Column with the overview; default: a usual name, such as overview or plot",
    )
    genres: str | None = Field(
        None, description="Column with the genres; default: a usual name, such as genres"
    )
    release_date: str | None = Field(
        None,
        description="Column with the release date or year; default: a usual name, such as "
        "release_date or year",
    )
    keywords: str | None = Field(None, description="Column with the keywords; default: keywords")
    director: str | None = Field(
        None, description="Column with the directors; default: director or directors"
    )
    cast: str | None = Field(
        None, description="Column with the actors; default: cast, actors or stars"
    )

    def reads(self, name: str) -> bool:
        """Whether a column of this name may be read: a mapped or a usual one."""
        mapped = [name_key(column) for column in self.model_dump().values() if column]
        return is_usual_name(name) or name_key(name) in mapped


def name_key(name: str) -> str:
    """A column name without case, spaces and punctuation: `Series_Title` is `seriestitle`."""
    return re.sub(r"[\W_]+", "", name.casefold())


def is_usual_name(name: str) -> bool:
    """Whether a field is found in a column of this name without a mapping."""
    return any(name_key(name) in aliases for aliases in ALIASES.values())


def find_column(field: str, header: Sequence[str], columns: Mapping[str, str | None]) -> int | None:
    """Position of the field's column: that of the configured name, else of a usual name."""
    keys = [name_key(name) for name in header]
    if configured := columns.get(field):
        if configured in header:
            return header.index(configured)
        return keys.index(name_key(configured)) if name_key(configured) in keys else None
    return next((_position(alias, header, keys) for alias in ALIASES[field] if alias in keys), None)


def _position(alias: str, header: Sequence[str], keys: Sequence[str]) -> int:
    """Position of the column with this very name, else of one that is written in another way."""
    plain = [name.strip().casefold() for name in header]
    return plain.index(alias) if alias in plain else keys.index(alias)


def find_columns(
    name: str, header: Sequence[str], columns: Columns, required: Sequence[str] = REQUIRED
) -> dict[str, int]:
    """Column position of each field that the file has.

    Raises:
        UserError: a required or configured column is missing.
    """
    configured = columns.model_dump()
    positions = {field: find_column(field, header, configured) for field in ALIASES}
    for field, position in positions.items():
        if position is None and (field in required or configured.get(field)):
            raise UserError(_missing_message(name, field, header, configured.get(field)))
    return {field: position for field, position in positions.items() if position is not None}


def _missing_message(name: str, field: str, header: Sequence[str], configured: str | None) -> str:
    """Message for a column that is missing, with that which has the most similar name."""
    if not configured and not any(map(is_usual_name, header)):
        return (
            f"{name}: the first row has no usual column name (has: {', '.join(header)[:300]}). "
            "Delete what stands above the header, or map the columns, beginning with "
            f"--ingest.columns.{field} NAME."
        )
    likeliest = closest_name(configured or field, header)
    return (
        f"{name}: no column '{configured or field}' (has: {', '.join(header)[:300]}). "
        f"Map it with --ingest.columns.{field} {_quoted(likeliest) if likeliest else 'NAME'}."
    )


def closest_name(field: str, header: Sequence[str]) -> str | None:
    """The name in the header that is most similar to a usual name of the field; None if none is."""
    free = [name for name in header if not is_usual_name(name) and not name_key(name).endswith(IDS)]
    names = {name_key(name): name for name in reversed(free)}
    usual = ALIASES.get(field, ()) or (name_key(field),)
    for alias in (name_key(field), *usual):
        for key, name in names.items():
            if len(alias) > 3 and (alias in key or (len(key) > len(alias) // 2 and key in alias)):
                return name
        if match := get_close_matches(alias, names, n=1, cutoff=0.75):
            return names[match[0]]
    return None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"
