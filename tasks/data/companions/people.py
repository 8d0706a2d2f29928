"""Cells with directors, cast and crew -> the people of a movie; cells are never evaluated as code.

Unlike genres, names of people are never capitalised, and commas separate them.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

from tasks.data.cells import clean_text, is_missing
from tasks.data.name_lists import is_list, list_items, plain_text

LEADING_ACTORS = 3
MAX_CREDITS_LENGTH = 500_000  # characters; Kaggle's cells list casts of more than 200 people
Names = tuple[str, ...]
Credit = Mapping[str, Any]
NO_SEPARATORS: Mapping[str, str] = {}


def parse_credits(text: str, separator: str | None = None) -> list[Credit]:
    """Credits, each with a `name`, in a cell such as `[{'name': 'Tom Hanks', 'order': 0}]`.

    Also reads lists of names in every form of `list_items`, and plain names between separators;
    without one, `Tom Hanks|Tim Allen` and `Tom Hanks, Tim Allen`.

    Raises:
        ValueError: the cell is a damaged list or too long, or an item has no name.
    """
    stripped = text.strip()
    if is_missing(stripped):
        return []
    if not is_list(stripped):
        plain = plain_text(stripped)
        mark = separator or ("|" if "|" in plain else ",")
        return [{"name": name} for name in plain.split(mark)]
    items = list_items(stripped, MAX_CREDITS_LENGTH)
    credits: list[Credit] = [item if isinstance(item, dict) else {"name": item} for item in items]
    if not all(isinstance(credit.get("name"), str) for credit in credits):
        raise ValueError("an item without a name")
    return credits


def parse_directors(text: str, separator: str | None = None) -> Names:
    """Names in a cell of directors. Raises ValueError as `parse_credits` does."""
    return _names_of(parse_credits(text, separator))


def parse_crew_directors(text: str, separator: str | None = None) -> Names:
    """Names of the directors in a cell of crew members, such as `[{'job': …, 'name': …}]`.

    Raises:
        ValueError: the cell is a damaged list, or an item has no name or no job.
    """
    crew = parse_credits(text, separator)
    if not all("job" in credit for credit in crew):
        raise ValueError("a crew member without a job")
    return _names_of(credit for credit in crew if credit["job"] == "Director")


def parse_leading_actors(text: str, separator: str | None = None) -> Names:
    """The first `LEADING_ACTORS` names of a cast, by `order` or else as listed.

    Raises ValueError as `parse_credits` does.
    """
    by_order = sorted(enumerate(parse_credits(text, separator)), key=_billing_order)
    return _names_of(credit for _, credit in by_order)[:LEADING_ACTORS]


def _billing_order(numbered_credit: tuple[int, Credit]) -> float:
    position, credit = numbered_credit
    order = credit.get("order")
    return order if isinstance(order, int | float) else position


def _names_of(credits: Iterable[Credit]) -> Names:
    """Different cleaned names; texts without a letter and `Unknown` are no names."""
    names = (clean_text(credit["name"]) for credit in credits)
    return tuple(dict.fromkeys(name for name in names if _is_name(name)))


def _is_name(text: str) -> bool:
    return any(map(str.isalpha, text)) and not is_missing(text)


#: Functions that read the columns with people, in the order in which people are listed.
PEOPLE_PARSERS: dict[str, Callable[[str, str | None], Names]] = {
    "director": parse_directors,
    "crew": parse_crew_directors,
    "cast": parse_leading_actors,
}


def read_people(cells: Mapping[str, str], separators: Mapping[str, str] = NO_SEPARATORS) -> Names:
    """Directors, then leading actors, each once, from the cells of a row.

    `separators` has the marks between plain names, by field.

    Raises:
        ValueError: a cell cannot be read.
    """
    columns = (
        parse(cells[field], separators.get(field))
        for field, parse in PEOPLE_PARSERS.items()
        if cells.get(field, "")
    )
    return tuple(dict.fromkeys(chain.from_iterable(columns)))


def read_readable_people(
    cells: Mapping[str, str], separators: Mapping[str, str] = NO_SEPARATORS
) -> Names:
    """Like `read_people`, but an unreadable cell counts as empty: for optional columns."""
    names: list[str] = []
    for field in filter(cells.get, PEOPLE_PARSERS):
        with suppress(ValueError):
            names += read_people({field: cells[field]}, separators)
    return tuple(dict.fromkeys(names))
