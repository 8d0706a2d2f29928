"""Titles and overviews -> normalised text for comparison."""

import re
import unicodedata

#: Words that do not identify a title: function words and numbers of parts.
TITLE_STOP_WORDS = frozenset(
    [
        *("a", "an", "and", "at", "for", "from", "in", "my", "of", "on", "or", "part", "s"),
        *("the", "to", "vs", "with", "i", "ii", "iii", "iv", "v", "1", "2", "3", "4", "5"),
    ]
)


def fold(title: str) -> str:
    """Title in lower case without accents and punctuation, for look-up.

    A title of punctuation alone is kept.
    """
    plain = title if title.isascii() else strip_accents(title)
    words = re.sub(r"[\W_]+", " ", plain.casefold()).strip()
    return words or title.casefold().strip()


def strip_accents(title: str) -> str:
    """The title with each letter with an accent replaced by the plain letter."""
    characters = unicodedata.normalize("NFKD", title)
    return "".join(character for character in characters if not unicodedata.combining(character))


def title_words(title: str) -> list[str]:
    """Words of the folded title without `TITLE_STOP_WORDS`, or all words if none remain."""
    words = fold(title).split()
    return [word for word in words if word not in TITLE_STOP_WORDS] or words


def normalize_overview(overview: str) -> str:
    """Overview in lower case without punctuation: equal for duplicates of a movie."""
    return re.sub(r"[\W_]+", " ", overview.casefold()).strip()
