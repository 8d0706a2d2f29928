"""A recommended movie -> why it is recommended, in terms that a person recognises."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from tasks.core.text import fold, title_words
from tasks.recommend.catalogue import Catalogue, Hit
from tasks.recommend.scoring import (
    ItemFeatures,
    RankConfig,
    common_words,
    score_contributions,
)

Movie = dict[str, Any]
#: What each similarity feature compares, by its name in the settings and in `shares`.
FEATURE_LABELS = {
    "content": "story (Doc2Vec)",
    "words": "words",
    "title": "title",
    "hidden": "kind of story",
    "genre": "genres",
    "people": "people",
    "keywords": "keywords",
    "year": "release year",
    "quality": "known film",
    "votes": "popularity",
}
CANDIDATE_TERMS = 12  # shared terms that are looked for in the movie's text
MAX_WORDS = 5
MAX_KEYWORDS = 3  # keywords in a sentence
MIN_SHARE = 0.01  # part of the score from which a contribution is shown
NOTHING_SHARED = "no word, genre or person in common"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SENTENCE_START = re.compile(r"(?:^|[.!?:\"“(])\s*$")


def explanation(
    catalogue: Catalogue,
    hit: Hit,
    rank: RankConfig,
    query_features: ItemFeatures,
    query_rows: Sequence[int],
) -> dict[str, Any]:
    """Why a movie is recommended to a query of some catalogue rows, or of a text without rows.

    `words`, `people`, `keywords` and `genres` are what it shares with the query; a text has only
    words. `content` and `genre` are cosines, `shares` the contribution of each feature to the
    score.
    """
    movie = catalogue.movie(hit.row)
    liked = [catalogue.movie(row) for row in query_rows]
    shared = {name: shared_values(movie, liked, name) for name in ("people", "keywords", "genres")}
    words_of_movie = catalogue.features.words[hit.row : hit.row + 1]
    terms = common_words(query_features.words, words_of_movie, catalogue.words, CANDIDATE_TERMS)
    named = {value.casefold() for value in shared["genres"] + shared["keywords"]}
    words = [word for word in written_words(terms, movie) if word.casefold() not in named]
    return {
        "words": words[:MAX_WORDS],
        **shared,
        "content": float(hit.features["content"][0, hit.row]),
        "genre": float(hit.features["genre"][0, hit.row]),
        "shares": score_contributions(hit.features, rank, hit.row),
    }


def shared_values(movie: Movie, liked: Iterable[Movie], column: str) -> list[str]:
    """Values of a list column of a movie that one of the other movies has too, without case."""
    liked_values = {value.casefold() for other in liked for value in other.get(column) or []}
    values = {value.casefold(): value for value in reversed(movie.get(column) or [])}
    return [value for key, value in reversed(values.items()) if key in liked_values]


def written_words(terms: Sequence[str], movie: Movie) -> list[str]:
    """The words of a movie's overview, else of its title, that index terms (stems) stand for.

    A term that is in neither is left out, as are title words that do not identify a title.
    """
    identifying, wanted = set(title_words(movie["title"])), set(terms)
    title_forms = written_forms(movie["title"], wanted).items()
    forms = {term: word for term, word in title_forms if identifying & set(fold(word).split())}
    forms |= written_forms(movie["overview"], wanted)
    return list(dict.fromkeys(forms[term] for term in terms if term in forms))


def written_forms(text: str, wanted: set[str]) -> dict[str, str]:
    """Each wanted stem and lower-case word of a text -> the word as the text writes it.

    Of several forms, the first inside a sentence is taken: its capitals are those of a name.
    """
    from tasks.data.words import stem  # imported late because nltk is slow to import

    text = text.replace("’", "'")
    terms = ((match, match[0].lower()) for match in _WORD.finditer(text))
    spelled = [(match, word, stem(word)) for match, word in terms]
    matches = [one for one in spelled if wanted.intersection(one[1:])]
    matches.sort(key=lambda one: _begins_sentence(text, one[0]))
    stems, words = dict[str, str](), dict[str, str]()
    for match, word, its_stem in matches:
        words.setdefault(word, match[0])
        stems.setdefault(its_stem, match[0])
    return words | stems


def _begins_sentence(text: str, match: re.Match[str]) -> bool:
    start = match.start()
    return bool(_SENTENCE_START.search(text[max(0, start - 3) : start]))


def shared_text(why: dict[str, Any]) -> str:
    """What a movie shares with the query: `climber, K2; Adventure; with Chris O'Donnell`."""
    people = f"with {', '.join(why['people'])}" if why["people"] else ""
    terms = ", ".join(why["keywords"][:MAX_KEYWORDS] + why["words"])
    parts = [part for part in (terms, ", ".join(why["genres"]), people) if part]
    return "; ".join(parts) or NOTHING_SHARED


def shares_text(why: dict[str, Any]) -> str:
    """The parts of the score by feature, the largest first: `words 56%, release year 10%`."""
    total = sum(why["shares"].values()) or 1.0
    parts = {name: value / total for name, value in why["shares"].items()}
    ordered = sorted(parts.items(), key=lambda pair: -pair[1])
    labels = [(FEATURE_LABELS.get(name, name), part) for name, part in ordered if part > MIN_SHARE]
    return ", ".join(f"{label} {part:.0%}" for label, part in labels)
