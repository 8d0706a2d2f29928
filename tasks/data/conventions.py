"""All rows of a source -> how its files write lists, ids, titles and dates; what texts it repeats.

A cell alone does not tell: `Comedy, Drama` is a list in one file and a name in another. What is
decided here holds for every row of a file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from tasks.core.text import normalize_overview
from tasks.data.cells import clean_text, is_missing, order_of_short_date, parse_number_id
from tasks.data.files.delimited import DamagedLine
from tasks.data.name_lists import SEPARATORS, choose_separator, parse_names
from tasks.data.sources import Source
from tasks.data.titles import has_year

LIST_FIELDS = ("genres", "keywords", "cast", "director")
MIN_TITLES = 5  # a text that so many different titles have describes none of them
MIN_NUMBER_SHARE = 0.5  # ids that are numbers, for other texts to be damage
MIN_DATED_SHARE = 0.5  # titles with a year in brackets, for such a year to be no part of a title
MIN_LONG_SHARE = 0.1  # rows that repeat a movie with another genre, for a file to be in long form
_SAMPLE_CELLS = 5000
_WORD = re.compile(r"[^\W_]+")


class Conventions(NamedTuple):
    """How a file is written, and what the rows of its source have in common.

    `separators` between the names of a list, by field. `has_number_ids`: others than IMDb's are
    damage. `has_dated_titles`: titles end with a year. `is_year_first`: dates of two digits each
    begin with the year. `repeated` are normalised texts that many movies have, by first word.
    `other_genres` are the further genres of a movie by `row_key`, if the source has one row a
    genre.
    """

    separators: Mapping[str, str] = {}
    has_number_ids: bool = True
    has_dated_titles: bool = False
    is_year_first: bool = False
    repeated: Mapping[str, Set[str]] = {}
    other_genres: Mapping[str, Sequence[str]] = {}

    def separator(self, field: str) -> str:
        """The mark between the names of a list."""
        return self.separators.get(field, SEPARATORS[0])

    def is_repeated(self, overview: str) -> bool:
        """Whether many movies have a cleaned overview."""
        start = _WORD.search(overview)
        texts = self.repeated.get(start[0].casefold() if start else "")
        return texts is not None and normalize_overview(overview) in texts


USUAL = Conventions()


class _Texts:
    """Overviews that several titles have, and as many titles as tell that they say nothing.

    Hashes stand for titles and for texts that one title has: a catalogue has many of these.
    """

    def __init__(self) -> None:
        self.first: dict[int, int] = {}  # title by text
        self.titles: dict[str, set[int]] = {}

    def add(self, title: str, overview: str) -> None:
        if is_missing(overview):
            return
        text_hash, title_hash = (hash(text.strip().casefold()) for text in (overview, title))
        first = self.first.setdefault(text_hash, title_hash)
        if title_hash == first:
            return
        titles = self.titles.setdefault(normalize_overview(clean_text(overview)), {first})
        if len(titles) < MIN_TITLES:
            titles.add(title_hash)

    @property
    def repeated(self) -> dict[str, set[str]]:
        """Those of many titles by their first words, which are compared first."""
        texts: dict[str, set[str]] = {}
        for text, titles in self.titles.items():
            if len(titles) >= MIN_TITLES:
                texts.setdefault(text.partition(" ")[0], set()).add(text)
        return texts


class _LongForm:
    """Genres of rows that repeat the movie of an earlier row."""

    def __init__(self) -> None:
        self.first: dict[int, tuple[int, int]] = {}  # hashes of title and genres by that of the key
        self.others: dict[str, list[str]] = {}
        self.rows = 0

    def add(self, cells: Mapping[str, str]) -> None:
        self.rows += 1
        key, genres = row_key(cells), cells.get("genres", "")
        title, genres_hash = hash(cells["title"]), hash(genres)
        first_title, first_genres = self.first.setdefault(hash(key), (title, genres_hash))
        if key and title == first_title and genres_hash != first_genres:
            self.others.setdefault(key, []).append(genres)

    @property
    def other_genres(self) -> dict[str, list[str]]:
        count = sum(map(len, self.others.values()))
        return self.others if count > MIN_LONG_SHARE * self.rows else {}


def cells_by_field(source: Source) -> Iterator[dict[str, str]]:
    """The cells of every complete row by field."""
    width = len(source.header)
    for row in source.rows:
        if not isinstance(row, DamagedLine) and len(row) == width:
            yield {field: row[position] for field, position in source.positions.items()}


class _File:
    """How one file of a source is written, as far as its rows have been added."""

    def __init__(self) -> None:
        self.lists: dict[str, list[str]] = {field: [] for field in LIST_FIELDS}
        self.rows = self.ids = self.number_ids = self.dated_titles = self.year_first = 0

    def add(self, cells: Mapping[str, str]) -> None:
        self.rows += 1
        for field, values in self.lists.items():
            if (cell := cells.get(field)) and len(values) < _SAMPLE_CELLS:
                values.append(cell)
        movie_id = cells.get("id", "")
        self.ids += not is_missing(movie_id)
        self.number_ids += parse_number_id(movie_id) is not None
        self.dated_titles += has_year(cells["title"].strip())
        self.year_first += order_of_short_date(cells.get("release_date", ""))

    def conventions(self, separators: Mapping[str, str], source: Conventions) -> Conventions:
        """Those of the file; `separators` are those of lists that have none here."""
        return source._replace(
            separators={
                field: choose_separator(cells, separators[field])
                for field, cells in self.lists.items()
            },
            has_number_ids=self.number_ids >= MIN_NUMBER_SHARE * self.ids,
            has_dated_titles=0 < MIN_DATED_SHARE * self.rows <= self.dated_titles,
            is_year_first=self.year_first > 0,
        )


def learn_conventions(sources: Iterable[Source]) -> list[Conventions]:
    """The conventions of each file of a source, from all rows, which are read to their end."""
    files, texts, long_form = list[_File](), _Texts(), _LongForm()
    for source in sources:
        files.append(_File())
        for cells in cells_by_field(source):
            files[-1].add(cells)
            texts.add(cells["title"], cells["overview"])
            long_form.add(cells)
    shared = Conventions(repeated=texts.repeated, other_genres=long_form.other_genres)
    separators = {
        field: choose_separator(cell for file in files for cell in file.lists[field])
        for field in LIST_FIELDS
    }
    return [file.conventions(separators, shared) for file in files]


def row_key(cells: Mapping[str, str]) -> str:
    """What the rows of a movie have in common: the id, or title and overview; empty for no id."""
    if "id" not in cells:
        return f"{cells['title'].strip()}\n{cells['overview'].strip()}"
    return parse_number_id(cells["id"]) or cells["id"].strip()


def genres_of(cells: Mapping[str, str], conventions: Conventions) -> list[str]:
    """Spellings of the genres of a movie, with those of the rows that repeat it.

    Raises:
        ValueError: a cell is unreadable.
    """
    genre_cells = [cells.get("genres", "")]
    if conventions.other_genres:
        genre_cells += conventions.other_genres.get(row_key(cells), ())
    separator = conventions.separator("genres")
    return [name for cell in genre_cells for name in parse_names(cell, separator)]
