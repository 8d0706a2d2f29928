"""Spellings of a genre -> one name, by a table and a rule that do not depend on the file."""

import re

#: Genres of TMDB, IMDb and MovieLens as they are written here.
NAMES = (
    *("Action", "Adventure", "Animation", "Biography", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Family", "Fantasy", "Film-Noir", "Foreign", "Game Show", "History"),
    *("Horror", "IMAX", "LGBT", "LGBTQ", "Music", "Musical", "Mystery", "News", "Reality-TV"),
    *("Romance", "Science Fiction", "Short", "Sport", "Talk Show", "Thriller", "TV Movie", "War"),
    *("Western", "Action & Adventure", "Sci-Fi & Fantasy", "War & Politics"),
)
#: Other spellings, without case and punctuation.
OTHER_SPELLINGS = {
    "scifi": "Science Fiction",
    "sf": "Science Fiction",
    "children": "Children's",
    "kids": "Children's",
    "sports": "Sport",
    "actionandadventure": "Action & Adventure",
    "scifiandfantasy": "Sci-Fi & Fantasy",
    "warandpolitics": "War & Politics",
}
LONGEST_ACRONYM = 4
SMALL_WORDS = ("a", "an", "and", "de", "du", "et", "for", "in", "la", "of", "on", "or", "the", "to")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


_BY_KEY = {_key(name): name for name in NAMES} | OTHER_SPELLINGS


def genre_name(spelling: str) -> str:
    """The name of a genre: that of the table, else in capitalised words.

    `SCI-FI`, `sci fi` and `SciFi` are `Science Fiction`; `Martial arts` is `Martial Arts`, and
    `SLICE OF LIFE` is `Slice of Life`. Acronyms and words with inner capitals stay as they are.
    """
    if name := _BY_KEY.get(_key(spelling)):
        return name
    is_acronym = spelling.isupper() and len(spelling) <= LONGEST_ACRONYM
    if spelling.isupper() and not is_acronym:
        spelling = spelling.lower()
    return _WORD.sub(_capitalized_word, spelling)


def _capitalized_word(match: re.Match[str]) -> str:
    word, is_first = match[0], match.start() == 0
    if word.casefold() in SMALL_WORDS and not is_first:
        return word.lower()
    return word.capitalize() if word.islower() else word


def capitalized(name: str) -> str:
    """A name in small letters with capital initials; other names unchanged."""
    return _WORD.sub(lambda word: word[0].capitalize(), name) if name.islower() else name
