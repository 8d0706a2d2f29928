"""Titles as MovieLens writes them (`Matrix, The (1999)`) -> title and year."""

import re
from typing import NamedTuple

_DATED = re.compile(r"(.+?)\s*\((18[7-9]\d|19\d\d|20\d\d)(?:[-–]\d{0,4})?\)")
#: A title whose article stands after it, perhaps before another title in brackets.
_ARTICLE = re.compile(
    r"(?P<title>.+), (?P<article>The|A|An|Le|La|Les|L'|El|Los|Las|Il|Lo|I|Gli|Der|Die|Das|Den|Det"
    r"|O|Os|As)(?P<other> \(.+\))?"
)


class DatedTitle(NamedTuple):
    """A title without its year, and the year."""

    title: str
    year: int | None


def has_year(title: str) -> bool:
    """Whether a title ends with a year in brackets."""
    return title.endswith(")") and bool(_DATED.fullmatch(title))


def read_dated_title(title: str) -> DatedTitle:
    """Title and year of `Matrix, The (1999)`, with the article in its place."""
    match = _DATED.fullmatch(title)
    name, year = (match[1], int(match[2])) if match else (title, None)
    return DatedTitle(with_leading_article(name), year)


def with_leading_article(title: str) -> str:
    """`The Matrix` for `Matrix, The`; other titles unchanged."""
    match = _ARTICLE.fullmatch(title) if ", " in title else None
    if not match:
        return title
    space = "" if match["article"].endswith("'") else " "
    return f"{match['article']}{space}{match['title']}{match['other'] or ''}"
