"""Titles -> terms that films of one franchise share: main title, first words, pairs of words."""

import re
from itertools import pairwise

from tasks.core.text import TITLE_STOP_WORDS, fold, title_words

MAX_PREFIX_WORDS = 6
MAIN, PREFIX = "=", "^"  # first characters of terms that are a main title, or first words
_SUBTITLE = re.compile(r":| [-–—] |\b(?:episode|part|chapter|volume|vol)\b", re.IGNORECASE)
_NUMBERS = frozenset(["ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"])
_ATTACHED_NUMBER = re.compile(r"^([^\W\d]{3,})\d$")  # as in `Alien³`
_ARTICLES = ("the", "a", "an")


def title_terms(title: str) -> list[str]:
    """Main title, first two to six words, pairs of neighbours and single words of a title.

    `Alien: Resurrection` and `Alien 3` share the main title with `Aliens`. Single words are those
    of `title_words`, without a plural `s`.
    """
    words = _without_article([singular(word) for word in fold(title).split()])
    content = [word for word in words if not _is_filler(word)]
    pairs = [" ".join(pair) for pair in pairwise(content)]
    singles = [singular(word) for word in title_words(title)]
    return [MAIN + main_title(title), *_prefixes(words), *pairs, *singles]


def main_title(title: str) -> str:
    """Folded title without article, subtitle and number of the part."""
    words = [singular(word) for word in fold(_SUBTITLE.split(title, maxsplit=1)[0]).split()]
    while len(words) > 1 and (words[-1] in _NUMBERS or words[-1].isdigit()):
        words.pop()
    words[-1:] = [_ATTACHED_NUMBER.sub(r"\1", word) for word in words[-1:]]
    return " ".join(_without_article(words)) or fold(title)


def _prefixes(words: list[str]) -> list[str]:
    """First words of a title, marked as such, if at least two of them are no filler."""
    ends = range(2, min(MAX_PREFIX_WORDS, len(words)) + 1)
    prefixes = [words[:end] for end in ends]
    return [
        PREFIX + " ".join(prefix)
        for prefix in prefixes
        if sum(not _is_filler(word) for word in prefix) >= 2
    ]


def _without_article(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _is_filler(word: str) -> bool:
    return word in TITLE_STOP_WORDS or word in _NUMBERS or word.isdigit()


def singular(word: str) -> str:
    """A word without a plural `s`; Snowball stems would also unite `shining` and `shine`."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word
