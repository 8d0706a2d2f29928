"""Text of any language -> its words without stop words, and their stems.

What is not English is told by the words themselves: a catalogue's column of languages has that in
which a film was shot, not that of its overview.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import regex
from nltk.stem.snowball import SnowballStemmer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from stopwordsiso import langs, stopwords

Segmenter = Literal["pairs", "dictionary"]
ENGLISH = "en"
#: Languages that nltk has a Snowball stemmer (Porter, 2001) of, by their code.
STEMMERS = {
    **{"ar": "arabic", "da": "danish", "de": "german", "en": "english", "es": "spanish"},
    **{"fi": "finnish", "fr": "french", "hu": "hungarian", "it": "italian", "nl": "dutch"},
    **{"no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish"},
}
#: Languages whose articles are joined to the next word by an apostrophe: `l'homme`.
ELIDING = ("fr", "it", "ca")
MIN_STOP_SHARE = 0.15  # of a text's words, to tell its language; English overviews have about 0.45
MIN_STOP_WORDS = 4  # to tell a language: a short question may have two of some language by chance
#: Words of ASCII text, which may contain an apostrophe. nltk's RegexpTokenizer takes 2.5 times as
#: long, because it guards each call with a time limit; this pattern cannot backtrack.
_ASCII_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
#: The same of any script: vowel signs, as in Hindi, are marks and belong to the word.
_WORDS = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:'[\p{L}\p{N}\p{M}]+)?")
_UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_UNSPACED = regex.compile(rf"[{_UNSPACED_SCRIPTS}][{_UNSPACED_SCRIPTS}\p{{M}}]*")


def words_of(text: str, segmenter: Segmenter = "pairs") -> list[str]:
    """Lower-case words; of scripts without spaces, all pairs of adjacent characters.

    Pairs stand for words: most Chinese words have two characters. With the segmenter `dictionary`,
    words are those of ICU's dictionaries (Chinese, Japanese, Thai, Lao, Khmer, Burmese), which
    need the package icu4py.
    """
    text = text.lower().replace("’", "'")
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    words: list[str] = _WORDS.findall(text)
    segments = _character_pairs if segmenter == "pairs" else _dictionary_words
    return [part for word in words for part in _parts(word, segments)]


def _parts(word: str, segments: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """The word itself, or its parts where it has letters of scripts without spaces."""
    start = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > start:
            yield word[start : run.start()]
        yield from segments(run[0])
        start = run.end()
    if start < len(word):
        yield word[start:]


def _character_pairs(run: str) -> Iterator[str]:
    """Pairs of adjacent characters, each with its marks; a lone character is itself."""
    characters = regex.findall(r"\X", run)
    if len(characters) == 1:
        yield run
    yield from ("".join(pair) for pair in pairwise(characters))


def _dictionary_words(run: str) -> Iterator[str]:
    """Words by ICU, whose Chinese rules know the scripts of all languages."""
    from icu4py.breakers import WordBreaker

    return iter(WordBreaker(run, "zh"))


@lru_cache(maxsize=64)
def stop_words(language: str) -> Set[str]:
    """Words of a language that say nothing of a text's content, in lower case."""
    return ENGLISH_STOP_WORDS if language == ENGLISH else frozenset(stopwords(language))


def language_of(words: Sequence[str]) -> str:
    """Code of the language most of whose stop words a text has; English in case of doubt."""
    if not words or _stop_share(words, ENGLISH) >= MIN_STOP_SHARE:
        return ENGLISH
    shares = {language: _stop_share(words, language) for language in sorted(langs())}
    best = max(shares, key=shares.__getitem__)
    is_clear = shares[best] >= MIN_STOP_SHARE and shares[best] * len(words) >= MIN_STOP_WORDS
    return best if is_clear else ENGLISH


def _stop_share(words: Sequence[str], language: str) -> float:
    known = stop_words(language)
    return sum(map(known.__contains__, words)) / len(words)


def content_words(words: Sequence[str], language: str) -> list[str]:
    """Words of more than one letter without stop words; all words if none remain."""
    if language in ELIDING:
        words = [word.rpartition("'")[2] for word in words]
    known = stop_words(language)
    return [word for word in words if word not in known and len(word) > 1] or list(words)


def stems_of(words: Iterable[str], language: str) -> list[str]:
    """Stems of words; the words themselves in a language without a stemmer."""
    if language not in STEMMERS:
        return list(words)
    return list(map(stemmer(language), words))


def stem(word: str) -> str:
    """Stem of an English word: `haunted` and `haunting` have the same."""
    return stemmer(ENGLISH)(word)


@lru_cache(maxsize=len(STEMMERS))
def stemmer(language: str) -> Callable[[str], str]:
    """The stem of a word of a language, which is computed once."""
    return lru_cache(maxsize=200_000)(SnowballStemmer(STEMMERS[language]).stem)
