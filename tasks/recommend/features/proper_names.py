"""Overviews -> first names and surnames, which say little about what a film is about.

Two films whose heroes are called Annie have nothing in common, but TF-IDF takes a rare name for an
important word. In most languages with capitals, proper names are the words that are capitalised
inside a sentence; places are proper names that often follow words such as `in`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from tasks.data.words import stem

NAME_WEIGHT = 0.3  # factor of the IDF of a common name
MIN_CAPITALISED = 0.4  # share of a name's occurrences that are capitalised inside a sentence
MAX_AS_PLACE = 0.12  # share of these that follow a word of `BEFORE_PLACES`
MIN_DOCUMENT_SHARE = 0.001  # rarer names often belong to one franchise and are not discounted
MIN_DOCUMENTS = 5
MAX_NAMES = 0.3  # share of names among the frequent words; more in languages such as German
BEFORE_PLACES = frozenset(
    ["in", "near", "across", "at", "to", "from", "through", "throughout", "the"]
)
#: A capitalised word and the word before it in the same sentence; matches may overlap.
_CAPITALISED = re.compile(r"(?<![\w'])(?=([\w']+),? ([A-ZÀ-ÞΑ-ΩА-Я][\w']+))")

#: How often each stem is capitalised inside a sentence, and how often after a preposition.
CapitalCounts = tuple[Counter[str], Counter[str]]


def count_capitalised(overviews: Iterable[str]) -> CapitalCounts:
    """Capitalised occurrences by stem, and those of them that follow a word of `BEFORE_PLACES`."""
    pairs = Counter(
        (word, before.lower() in BEFORE_PLACES)
        for overview in overviews
        for before, word in _CAPITALISED.findall(overview.replace("’", "'"))
    )
    capitalised, after_preposition = Counter[str](), Counter[str]()
    for (word, is_after_preposition), count in pairs.items():
        capitalised[stem(word.lower())] += count
        if is_after_preposition:
            after_preposition[stem(word.lower())] += count
    return capitalised, after_preposition


def common_names(
    counts: CapitalCounts, document_frequencies: Mapping[str, int], n_documents: int
) -> frozenset[str]:
    """Stems of the personal names among the frequent words.

    None if too many of these look like names, as in a language that capitalises all nouns.
    """
    capitalised, after_preposition = counts
    minimum = max(MIN_DOCUMENTS, MIN_DOCUMENT_SHARE * n_documents)
    frequent = [word for word, documents in document_frequencies.items() if documents >= minimum]
    names = frozenset(
        word
        for word in frequent
        if capitalised[word] > MIN_CAPITALISED * document_frequencies[word]
        and after_preposition[word] < MAX_AS_PLACE * capitalised[word]
    )
    return names if len(names) <= MAX_NAMES * len(frequent) else frozenset()
