"""All rows of a source -> how it writes lists, ids and titles, and which texts it repeats.

A cell alone does not tell: `Comedy, Drama` is a list in one file and a name in another. What is
decided here holds for every row of the source.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tasks.core.text import fold, normalize_overview
from tasks.data.cells import clean_text, is_missing, parse_number_id
from tasks.data.files.delimited import DamagedLine
from tasks.data.name_lists import SEPARATORS, choose_separator, parse_names
from tasks.data.sources import Source
from tasks.data.titles import has_year

LIST_FIELDS = ("genres", "keywords", "cast", "director")
MIN_TITLES = 5  # a text that so many different titles have describes none of them
MAX_REPEATED_LENGTH = 200  # characters; equal longer texts are those of the same movie
MIN_DATED_SHARE = 0.5  # titles with a year in brackets, for such a year to be no part of a title
MIN_LONG_SHARE = 0.1  # rows that repeat a movie with another genre, for a file to be in long form
_SAMPLE_CELLS = 5000


class Conventions(NamedTuple):
    """How a source is written.

    `separators` between the names of a list, by field. `has_number_ids`: other ids are damage.
    `has_dated_titles`: titles end with a year. `repeated` are normalised texts that many movies
    have. `other_genres` are the further genres of a movie by id, if the file has one row a genre.
    """

    separators: Mapping[str, str] = {}
    has_number_ids: bool = True
    has_dated_titles: bool = False
    repeated: frozenset[str] = frozenset()
    other_genres: Mapping[str, Sequence[str]] = {}

    def separator(self, field: str) -> str:
        """The mark between the names of a list."""
        return self.separators.get(field, SEPARATORS[0])

    def is_repeated(self, overview: str) -> bool:
        """Whether many movies have a cleaned overview."""
        is_short = len(overview) <= MAX_REPEATED_LENGTH
        return is_short and normalize_overview(overview) in self.repeated


USUAL = Conventions()


class _Texts:
    """Short overviews that several titles have, and as many titles as tell that they say nothing.

    Hashes stand for titles and for texts that one title has: a catalogue has many of these.
    """

    def __init__(self) -> None:
        self.first: dict[int, int] = {}  # title by text
        self.titles: dict[str, set[int]] = {}

    def add(self, title: str, overview: str) -> None:
        if is_missing(overview) or len(overview) > MAX_REPEATED_LENGTH:
            return
        text, title_hash = normalize_overview(clean_text(overview)), hash(fold(title))
        first = self.first.setdefault(hash(text), title_hash)
        if (
            title_hash != first
            and len(titles := self.titles.setdefault(text, {first})) < MIN_TITLES
        ):
            titles.add(title_hash)

    @property
    def repeated(self) -> frozenset[str]:
        return frozenset(text for text, titles in self.titles.items() if len(titles) >= MIN_TITLES)


class _LongForm:
    """Genres of rows that repeat the movie of an earlier row."""

    def __init__(self) -> None:
        self.first: dict[int, tuple[int, int]] = {}  # hashes of title and genres by that of the id
        self.others: dict[str, list[str]] = {}
        self.rows = 0

    def add(self, cells: Mapping[str, str]) -> None:
        self.rows += 1
        movie_id, genres = cells.get("id", ""), cells.get("genres", "")
        title, own = hash(cells["title"]), hash(genres)
        first_title, first_genres = self.first.setdefault(hash(movie_id), (title, own))
        if movie_id and title == first_title and own != first_genres:
            self.others.setdefault(movie_id, []).append(genres)

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


def learn_conventions(files: Iterable[Source]) -> Conventions:
    """The conventions of a source, from all rows of its files, which are read to their end."""
    lists: dict[str, list[str]] = {field: [] for field in LIST_FIELDS}
    texts, long_form = _Texts(), _LongForm()
    rows = numbers = ids = dated = 0
    for file in files:
        for cells in cells_by_field(file):
            rows += 1
            for field, values in lists.items():
                if (cell := cells.get(field)) and len(values) < _SAMPLE_CELLS:
                    values.append(cell)
            movie_id = cells.get("id", "")
            ids += not is_missing(movie_id)
            numbers += parse_number_id(movie_id) is not None
            dated += has_year(cells["title"].strip())
            texts.add(cells["title"], cells["overview"])
            long_form.add(cells)
    return Conventions(
        separators={field: choose_separator(values) for field, values in lists.items()},
        has_number_ids=2 * numbers >= ids,
        has_dated_titles=rows > 0 and dated >= MIN_DATED_SHARE * rows,
        repeated=texts.repeated,
        other_genres=long_form.other_genres,
    )


def genres_of(cells: Mapping[str, str], conventions: Conventions) -> list[str]:
    """Spellings of the genres of a movie, with those of the rows that repeat it.

    Raises:
        ValueError: a cell is unreadable.
    """
    own = [cells.get("genres", ""), *conventions.other_genres.get(cells.get("id", ""), ())]
    separator = conventions.separator("genres")
    return [name for cell in own for name in parse_names(cell, separator)]
