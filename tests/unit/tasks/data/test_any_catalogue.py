"""Any catalogue, written in any usual way, reads back equal."""

import csv
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.source_files import validate_file


class Film(NamedTuple):
    title: str
    overview: str
    genres: list[str]
    released: date


GENRES = ["Drama", "Comedy", "Science Fiction", "Children's", "Action & Adventure", "Film-Noir"]
TITLES = ["Alien", "Amélie", "None", "300", "10,000 BC", '"Crocodile" Dundee', "[REC]", "Up; Down"]
WORDS = ["a ghost", "été", "it's", 'a "quoted" word', "first, second;", "1999 |", "two\nlines", "-"]

films = st.builds(
    Film,
    title=st.sampled_from(TITLES),
    overview=st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
    genres=st.lists(st.sampled_from(GENRES), unique=True, min_size=1, max_size=3),
    released=st.dates(date(1900, 1, 1), date(2029, 12, 31)),
)
catalogues = st.lists(films, min_size=2, max_size=7)

GENRE_FORMS: dict[str, Callable[[Sequence[str]], str]] = {
    "Python": repr,
    "JSON": json.dumps,
    "objects": lambda names: json.dumps([{"id": 1, "name": name} for name in names]),
    "NumPy": lambda names: f"[{' '.join(map(repr, names))}]",
    "PostgreSQL": lambda names: f"{{{','.join(map(json.dumps, names))}}}",
    "tuple": lambda names: repr(tuple(names)),
    "pipes": "|".join,
    "commas": ", ".join,
    "semicolons": "; ".join,
    "slashes": "/".join,
    "ideographic": "、".join,
    "capitals": lambda names: "|".join(names).upper(),
}
DATE_FORMS = [
    *("%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y", "%B %d, %Y", "%d %b %Y", "%Y%m%d", "(%Y)", "%Y"),
    *("%Y-%m-%dT%H:%M:%SZ", "%d-%m-%Y"),
]
TEXT_FORMS = [
    *[
        (encoding, ",", csv.QUOTE_MINIMAL)
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252")
    ],
    *[("utf-8", delimiter, csv.QUOTE_MINIMAL) for delimiter in (";", "\t", "|")],
    ("utf-8", ",", csv.QUOTE_ALL),
]


def written(
    catalogue: list[Film], genres: str, dates: str, delimiter: str = ",", quoting: int = 0
) -> str:
    file = io.StringIO(newline="")
    rows = csv.writer(file, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    rows.writerow(["Film ID", "Title", "Plot", "Genre", "Released"])
    for number, film in enumerate(catalogue):
        text = f"Story {number}: {film.overview}"
        cells = [GENRE_FORMS[genres](film.genres), film.released.strftime(dates)]
        rows.writerow([number, film.title, text, *cells])
    return file.getvalue()


def require_equal(content: bytes, catalogue: list[Film], encoding: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.csv"
        path.write_bytes(content)
        chunk = validate_file(path, encoding=encoding)
    assert chunk.quarantine.num_rows == 0
    for number, (movie, film) in enumerate(zip(chunk.movies.to_pylist(), catalogue, strict=True)):
        overview = " ".join(f"Story {number}: {film.overview}".split())
        assert (movie["id"], movie["title"]) == (str(number), film.title)
        assert (movie["overview"], movie["genres"]) == (overview, film.genres)
        assert movie["year"] == film.released.year


@settings(max_examples=10)
@given(catalogues)
@pytest.mark.parametrize(("encoding", "delimiter", "quoting"), TEXT_FORMS)
def test_in_every_dialect_and_encoding(encoding, delimiter, quoting, catalogue):
    text = written(catalogue, "Python", "%Y-%m-%d", delimiter, quoting)
    declared_encoding = encoding if encoding == "cp1252" else None
    require_equal(text.encode(encoding), catalogue, declared_encoding)


@settings(max_examples=10)
@given(catalogues, st.sampled_from(DATE_FORMS))
@pytest.mark.parametrize("genres", GENRE_FORMS)
def test_in_every_form_of_genres_and_dates(genres, catalogue, dates):
    require_equal(written(catalogue, genres, dates).encode(), catalogue)
