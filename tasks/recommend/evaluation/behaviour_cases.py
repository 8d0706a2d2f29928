"""Catalogue, its lists and a text model -> cases of the behaviours that a viewer expects of lists.

Each function samples its cases with a fixed seed. It returns no case if the catalogue lacks what
the behaviour needs, such as collections or horror films.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import BLOCK, recommender_scorer
from tasks.recommend.evaluation.query_sets import coverage_queries
from tasks.recommend.evaluation.ranking_metrics import K
from tasks.recommend.evaluation.relevance_scores import ranked_lists
from tasks.recommend.features.index_transformer import single_words
from tasks.recommend.features.title_terms import main_title
from tasks.recommend.scoring import (
    RankConfig,
    similarity_features,
    used_features,
    weighted_scores,
)
from tasks.recommend.search import title_with_year
from tasks.recommend.text_model import TextModel

MAX_SEQUELS = 100  # movies of collections
MAX_LISTED = 200  # cases that need no list beyond those that popularity bias is measured on
MAX_PAIRS = 25  # pairs of films of equal title, and pairs of stories
MAX_REPEATED = 16  # movies whose list is asked for again
MAX_MASKED = 50  # movies whose year and votes are hidden
MANY_MOVIES = 2000  # lists of fewer movies overlap and repeat movies by chance
MAX_LISTS_SHARE = 0.02  # of the lists that may contain the same movie
N_FREQUENT = 20  # most recommended movies that are checked
CHILDREN = frozenset(["family", "children", "kids"])
HORROR = "horror"
T = TypeVar("T")


class Case(NamedTuple):
    """One case of a behaviour: whether the lists pass, and what they do in words."""

    passed: bool
    description: str


class CheckedLists:
    """A catalogue with its lists, each of which is computed once.

    `documents` has the columns `collection` and `overview` of its movies in the same order. `lists`
    are lists that were computed before, by query row; -1 fills shorter ones.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        config: RankConfig,
        model: TextModel,
        documents: pa.Table,
        lists: Mapping[int, Sequence[int]],
    ) -> None:
        self.catalogue, self.config, self.model = catalogue, config, model
        self.sampled_rows = coverage_queries(catalogue)
        self.collections: list[str | None] = documents["collection"].to_pylist()
        self.overviews: list[str] = documents["overview"].to_pylist()
        movies = catalogue.movies
        self.titles: list[str] = movies["title"].to_pylist()
        self.years: list[int | None] = movies["year"].to_pylist()
        self.genres = [
            frozenset(map(str.casefold, names)) for names in movies["genres"].to_pylist()
        ]
        self._lists = {row: [hit for hit in hits if hit >= 0] for row, hits in lists.items()}

    def lists(self, rows: Sequence[int]) -> list[list[int]]:
        """Top-10 rows of each query movie, best first."""
        missing = sorted(set(rows) - set(self._lists))
        scorer = recommender_scorer(self.catalogue, self.config)
        computed = ranked_lists(self.catalogue, missing, scorer, self.config.diversity).tolist()
        for row, hits in zip(missing, computed, strict=True):
            self._lists[row] = [hit for hit in hits if hit >= 0]
        return [self._lists[row] for row in rows]

    def name(self, row: int) -> str:
        """Title with year of a movie."""
        return title_with_year({"title": self.titles[row], "year": self.years[row]})

    def names(self, rows: Iterable[int]) -> str:
        """Titles with years of movies, separated by commas; `nothing` if there are none."""
        return ", ".join(map(self.name, rows)) or "nothing"


def sequels_first(checked: CheckedLists) -> list[Case]:
    """The first movie of a list shares the collection of a query with sequels of similar title."""
    rows = draw(_rows_with_sequels(checked), MAX_SEQUELS)
    return [_sequel_case(checked, *pair) for pair in zip(rows, checked.lists(rows), strict=True)]


def _rows_with_sequels(checked: CheckedLists) -> list[int]:
    """Movies of which the collection has another movie with the same main title."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (collection, title) in enumerate(
        zip(checked.collections, checked.titles, strict=True)
    ):
        if collection:
            groups[collection, main_title(title)].append(row)
    return sorted(row for rows in groups.values() if len(rows) > 1 for row in rows)


def _sequel_case(checked: CheckedLists, row: int, hits: Sequence[int]) -> Case:
    collections = checked.collections
    passed = bool(hits) and collections[hits[0]] == collections[row]
    return Case(passed, f"{checked.name(row)}: first is {checked.names(hits[:1])}")


def same_title_distinguished(checked: CheckedLists) -> list[Case]:
    """Two films of equal title and different year have different lists, and are not in their own.

    Whether they recommend each other makes no difference.
    """
    pairs = draw(_same_title_pairs(checked), MAX_PAIRS)
    checked.lists([row for pair in pairs for row in pair])  # in blocks
    return [_same_title_case(checked, *pair) for pair in pairs]


def _same_title_pairs(checked: CheckedLists) -> list[tuple[int, int]]:
    """Films of equal folded title, in the order of their years, that tell different stories."""
    years, overview_codes = checked.years, checked.catalogue.duplicate_keys[0]
    groups: dict[str, dict[int, int]] = defaultdict(dict)
    for row, (title, year) in enumerate(
        zip(checked.catalogue.title_keys.to_pylist(), years, strict=True)
    ):
        if year:
            groups[title].setdefault(year, row)
    return [
        (earlier, later)
        for rows in groups.values()
        for earlier, later in pairwise(rows[year] for year in sorted(rows))
        if overview_codes[earlier] != overview_codes[later]
    ]


def _same_title_case(checked: CheckedLists, earlier: int, later: int) -> Case:
    lists = dict(zip((earlier, later), checked.lists([earlier, later]), strict=True))
    for row, hits in lists.items():
        if row in hits:
            return Case(False, f"{checked.name(row)} is in its own list")
    other_movies = [set(hits) - {earlier, later} for hits in lists.values()]
    description = f"{checked.name(earlier)} and {checked.name(later)} have the same list"
    return Case(other_movies[0] != other_movies[1], description)


def children_without_horror(checked: CheckedLists) -> list[Case]:
    """The list of a children's film has no horror film that is not a children's film itself."""
    if not any(HORROR in names for names in checked.genres):
        return []
    rows = draw(
        [row for row in checked.sampled_rows if _is_for_children(checked.genres[row])], MAX_LISTED
    )
    return [_horror_case(checked, *pair) for pair in zip(rows, checked.lists(rows), strict=True)]


def _is_for_children(genres: frozenset[str]) -> bool:
    return bool(genres & CHILDREN) and HORROR not in genres


def _horror_case(checked: CheckedLists, row: int, hits: Sequence[int]) -> Case:
    horror = [hit for hit in hits if HORROR in checked.genres[hit]]
    unsuitable = [hit for hit in horror if not checked.genres[hit] & CHILDREN]
    return Case(not unsuitable, f"{checked.name(row)}: {checked.names(unsuitable)}")


def unrelated_apart(checked: CheckedLists) -> list[Case]:
    """Two films without a common genre or collection share no movie of their lists."""
    if len(checked.catalogue) < MANY_MOVIES:
        return []
    pairs = _unrelated_pairs(checked)
    checked.lists([row for pair in pairs for row in pair])
    return [_overlap_case(checked, *pair) for pair in pairs]


def _unrelated_pairs(checked: CheckedLists) -> list[tuple[int, int]]:
    """Pairs of sampled movies; every movie is in at most one pair."""
    rows = [row for row in checked.sampled_rows if checked.genres[row]]
    shuffled = np.random.default_rng(0).permutation(rows).tolist()
    pairs = list(zip(shuffled[::2], shuffled[1::2], strict=False))
    return [pair for pair in pairs if not _is_related(checked, *pair)][:MAX_LISTED]


def _is_related(checked: CheckedLists, row: int, other: int) -> bool:
    collection = checked.collections[row]
    shares_collection = collection is not None and collection == checked.collections[other]
    return shares_collection or bool(checked.genres[row] & checked.genres[other])


def _overlap_case(checked: CheckedLists, row: int, other: int) -> Case:
    hits, other_hits = checked.lists([row, other])
    common = [hit for hit in hits if hit in other_hits]
    description = f"{checked.name(row)} and {checked.name(other)}: {checked.names(common)}"
    return Case(not common, description)


def same_answer(checked: CheckedLists) -> list[Case]:
    """A query has the same list alone, alone once more, and in a block of other queries."""
    rows = draw(checked.sampled_rows, MAX_REPEATED)
    return [
        _same_answer_case(checked, *pair) for pair in zip(rows, checked.lists(rows), strict=True)
    ]


def _same_answer_case(checked: CheckedLists, row: int, hits: Sequence[int]) -> Case:
    catalogue, config = checked.catalogue, checked.config
    lists = [
        [hit.row for hit in catalogue.rank(catalogue.features_of([row]), [row], K, config)]
        for _ in range(2)
    ]
    passed = all(rows == list(hits) for rows in lists)
    return Case(passed, f"{checked.name(row)}: its lists differ")


def words_move_lists(checked: CheckedLists) -> list[Case]:
    """A word of another film's story, added to a story, moves that film up."""
    movies = [row for row in checked.sampled_rows if checked.overviews[row]]
    shuffled = np.random.default_rng(0).permutation(draw(movies, 2 * MAX_PAIRS)).tolist()
    frequencies = _document_frequencies(checked.catalogue)
    cases = (
        _added_word_case(checked, story, other, frequencies)
        for story, other in zip(shuffled[::2], shuffled[1::2], strict=False)
    )
    return [case for case in cases if case]


def _document_frequencies(catalogue: Catalogue) -> dict[str, int]:
    """Number of movies that contain each word."""
    words = catalogue.features.words
    counts = np.bincount(words.indices, minlength=words.shape[1]).tolist()
    return dict(zip(catalogue.words, counts, strict=True))


def _added_word_case(
    checked: CheckedLists, story: int, other: int, frequencies: Mapping[str, int]
) -> Case | None:
    """None if the model knows no word of the story, or no distinctive word of the other film."""
    text = checked.overviews[story]
    word = distinctive_word(checked.overviews[other], text, checked.model, frequencies)
    documents = checked.model.documents([""], [text])
    if word is None or not checked.model.count_known_tokens(documents)[0]:
        return None
    before, after = (
        _text_position(checked, query, story, other) for query in (text, f"{text} {word}")
    )
    description = (
        f"the story of {checked.name(story)} with the word '{word}': "
        f"{checked.name(other)} moves from place {before} to {after}"
    )
    return Case(after < before or before == 1, description)


def distinctive_word(
    overview: str, text: str, model: TextModel, frequencies: Mapping[str, int]
) -> str | None:
    """The rarest word of an overview that the model knows and that `text` does not have."""
    words = sorted(set(re.findall(r"[^\W\d_]+", overview)))
    documents = model.documents([""] * len(words), words)
    tokens, text_tokens = (
        set(single_words(document)) for document in model.documents(["", ""], [overview, text])
    )
    candidates = [
        (frequencies[token], word)
        for word, token, n_known in zip(
            words, documents, model.count_known_tokens(documents), strict=True
        )
        if n_known and token in frequencies and token in tokens - text_tokens
    ]
    return min(candidates)[1] if candidates else None


def _text_position(checked: CheckedLists, text: str, story: int, row: int) -> int:
    """Place of a movie, from 1, among all movies but that of the story, ranked for a text."""
    catalogue, config = checked.catalogue, checked.config.for_text()
    queries = checked.model.text_features(text, catalogue)
    features = similarity_features(queries, catalogue.items, used_features(config))
    scores = weighted_scores(features, config)[0]
    scores[story] = -np.inf
    return 1 + int((scores > scores[row]).sum())


def masked_sensible(checked: CheckedLists) -> list[Case]:
    """At least half of a list stays if the year and the votes of the query are unknown."""
    rows = draw([row for row in checked.sampled_rows if checked.years[row]], MAX_MASKED)
    lists = checked.lists(rows)
    blocks = (slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK))
    return [case for block in blocks for case in _masked_cases(checked, rows[block], lists[block])]


def _masked_cases(
    checked: CheckedLists, rows: Sequence[int], lists: Sequence[Sequence[int]]
) -> list[Case]:
    catalogue, config = checked.catalogue, checked.config
    unknown = np.zeros(len(rows), np.float32)
    queries = catalogue.features_of(rows)._replace(years=unknown + np.nan, votes=unknown)
    features = similarity_features(queries, catalogue.items, used_features(config))
    cases = []
    for row, hits, scores in zip(rows, lists, weighted_scores(features, config), strict=True):
        masked = catalogue.top_rows(scores, [row], K, config.diversity)
        n_kept = len(set(masked) & set(hits))
        passed = bool(np.isfinite(scores).all()) and 2 * n_kept >= len(hits)
        cases.append(Case(passed, f"{checked.name(row)}: {n_kept} of {len(hits)} movies stay"))
    return cases


def no_favourites(checked: CheckedLists) -> list[Case]:
    """None of the most recommended movies is in more than 2% of the lists."""
    if len(checked.catalogue) < MANY_MOVIES:
        return []
    lists = checked.lists(checked.sampled_rows)
    counts = Counter(hit for hits in lists for hit in hits)
    return [
        Case(
            count <= MAX_LISTS_SHARE * len(lists),
            f"{checked.name(row)} is in {count / len(lists):.1%} of the lists",
        )
        for row, count in counts.most_common(N_FREQUENT)
    ]


def draw(values: Sequence[T], limit: int) -> list[T]:
    """All values, or `limit` of them at random with a fixed seed, in their order."""
    if len(values) <= limit:
        return list(values)
    positions = np.random.default_rng(0).choice(len(values), limit, replace=False)
    return [values[position] for position in sorted(positions.tolist())]
