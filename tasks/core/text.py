"""Titles and texts brought to a form in which they can be compared."""

import re
import unicodedata

#: Words of a title that say nothing of what it is, and numbers of parts.
TITLE_STOP_WORDS = frozenset(
    [
        *("a", "an", "and", "at", "for", "from", "in", "my", "of", "on", "or", "part", "s"),
        *("the", "to", "vs", "with", "i", "ii", "iii", "iv", "v", "1", "2", "3", "4", "5"),
    ]
)


def fold(title: str) -> str:
    """Title without case, accents and punctuation, for look-up."""
    plain = title if title.isascii() else _without_accents(title)
    words = re.sub(r"[\W_]+", " ", plain.casefold()).strip()
    return words or title.casefold().strip()


def _without_accents(title: str) -> str:
    parts = unicodedata.normalize("NFKD", title)
    return "".join(character for character in parts if not unicodedata.combining(character))


def title_words(title: str) -> list[str]:
    """Words of the folded title that may tell it from others, or all if there is no such."""
    words = fold(title).split()
    return [word for word in words if word not in TITLE_STOP_WORDS] or words


def normalize_overview(overview: str) -> str:
    """Overview reduced to its folded words: re-listed copies of a movie become equal."""
    return re.sub(r"[\W_]+", " ", overview.casefold()).strip()
