"""Item features and ranking weights -> similarity features, scores, ranked and reranked rows.

Imports nothing slow: a single query from the terminal runs through this module.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tasks.core.strict_config import StrictConfig

Array = NDArray[np.float32]
YEAR_DECAY = 8.0  # years of difference at which the proximity falls to 1/e
UNKNOWN_YEAR_PROXIMITY = 0.3  # about the mean proximity of all pairs of movies
UNKNOWN_YEAR = 30_000.0  # queries use -30000, items +30000, so that it is far from every year
#: Year proximity by the difference in years; the last value stands for every unknown year.
PROXIMITY_BY_DIFFERENCE = np.append(
    np.exp(-np.arange(255) / YEAR_DECAY), UNKNOWN_YEAR_PROXIMITY
).astype(np.float32)
VOTES_OF_A_HIT = 10_000  # vote count at which the popularity prior is 1
KNOWN_VOTES = 100  # vote count from which the quality prior is 1
GROUP = 64  # scores whose maximum is taken first when the highest are searched
SPARSE = ("words", "titles", "people", "keywords")  # features that are TF-IDF matrices
FEATURES = (
    "content",
    "words",
    "title",
    "hidden",
    "genre",
    "people",
    "keywords",
    "year",
    "quality",
    "votes",
)


class TextWeights(StrictConfig, frozen=True):
    """Weights of the similarity features for a plot description; it has no title and no year."""

    content: float = Field(0.5, ge=0, le=10, description="Weight of `rank.content` for a text")
    words: float = Field(5.5, ge=0, le=10, description="Weight of `rank.words` for a text")
    genre: float = Field(0.1, ge=0, le=10, description="Weight of `rank.genre` for a text")
    votes: float = Field(0.8, ge=0, le=10, description="Weight of `rank.votes` for a text")


class RankConfig(StrictConfig, frozen=True):
    """Weights of the similarity features in the ranking score.

    The defaults maximise keyword nDCG and franchise recall on the choosing half of the queries,
    with limits on popularity bias (`benchmarks/ranking.py`).
    """

    preset: Literal["relevant", "popular"] = Field(
        "relevant",
        description="relevant: similar movies, known or not. popular: similar movies that most "
        "people know, so that lists repeat each other",
    )
    content: float = Field(
        2.0, ge=0, le=10, description="Weight of the cosine of the whitened Doc2Vec vectors"
    )
    words: float = Field(
        6.0, ge=0, le=10, description="Weight of the TF-IDF cosine of the title and overview words"
    )
    title: float = Field(
        4.0,
        ge=0,
        le=10,
        description="Weight of the TF-IDF cosine of title phrases, which sequels share",
    )
    hidden: float = Field(
        0.5,
        ge=0,
        le=10,
        description="Weight of the cosine of the genre network's hidden layers",
    )
    genre: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Weight of the genre similarity: the cosine, lowered by genres that never "
        "occur together",
    )
    people: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Weight of the TF-IDF cosine of directors and leading actors",
    )
    keywords: float = Field(
        2.0,
        ge=0,
        le=10,
        description="Weight of the TF-IDF cosine of the keywords; only with `text.keywords`",
    )
    year: float = Field(
        0.65,
        ge=0,
        le=10,
        description="Weight of the release year proximity, exp(-d/8) for d years of difference",
    )
    quality: float = Field(
        0.35,
        ge=0,
        le=10,
        description="Weight of the bounded quality prior: 1 for a recommended movie with 100 votes "
        "or more, less for one with fewer",
    )
    votes: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Weight of the popularity prior of the recommended movie (squared log vote "
        "count); it lifts the same well-known movies into every list",
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="MMR diversity: the share of the best score that a movie loses if its "
        "embedding equals an earlier pick's; 0: rank by score alone",
    )
    text: TextWeights = TextWeights()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return PRESETS.get(str(values.get("preset", "relevant")), {}) | values

    def for_text(self) -> "RankConfig":
        """The same settings with the weights of a plot description."""
        return self.model_copy(update=dict.fromkeys(FEATURES, 0.0) | self.text.model_dump())


#: Weights of each preset; explicit weights override them.
PRESETS: dict[str, dict[str, Any]] = {"relevant": {}, "popular": {"quality": 0.0, "votes": 1.5}}


class ItemFeatures(NamedTuple):
    """Features of movies or texts for similarity search, one row each.

    `content` (n, size), `hidden` (n, n_axes) and `genres` (n, n_genres) have rows of unit length,
    or of zeros if unknown. `affinities` (n, n_genres) are the similarities of a movie to each
    genre, negative where they never occur together. `words`, `titles`, `people` and `keywords` are
    sparse TF-IDF matrices (n, n_terms) with rows of unit length or of zeros. `years` (n,) are NaN
    if unknown. `votes` (n,) are popularity priors between 0 and about 1.
    """

    content: Array
    hidden: Array
    genres: Array
    affinities: Array
    words: sp.csr_array
    titles: sp.csr_array
    people: sp.csr_array
    keywords: sp.csr_array
    years: Array
    votes: Array

    def rows(self, rows: NDArray[np.int64]) -> "ItemFeatures":
        """The features of some rows."""
        return ItemFeatures(*(column[rows] for column in self))

    def by_term(self) -> "ItemFeatures":
        """The same with the sparse matrices transposed to (n_terms, n).

        The product with a query then reads only the movies that contain one of its terms.
        """
        return self._replace(**{name: getattr(self, name).T.tocsr() for name in SPARSE})


def popularity_prior(votes: Sequence[int | None], neutral: float) -> Array:
    """Popularity (n,) from vote counts: (log(1+votes) / log(1+10000))², `neutral` if unknown.

    Squared because an increase from 100 to 1000 votes means more than one from 1 to 10.
    """
    scale = np.log1p(VOTES_OF_A_HIT)
    priors = [neutral if count is None else float(np.log1p(count) / scale) ** 2 for count in votes]
    return np.array(priors, np.float32)


def year_proximity(query_years: Array, item_years: Array) -> Array:
    """exp(-d/8), as (q, n), for the difference d of `query_years` (q,) and `item_years` (n,)."""
    queries = np.nan_to_num(query_years, nan=-UNKNOWN_YEAR).astype(np.int32)
    items = np.nan_to_num(item_years, nan=UNKNOWN_YEAR).astype(np.int32)
    differences = np.abs(queries[:, None] - items[None, :])
    proximity: Array = PROXIMITY_BY_DIFFERENCE[
        np.minimum(differences, len(PROXIMITY_BY_DIFFERENCE) - 1)
    ]
    return proximity


def quality_prior(votes: Array) -> Array:
    """Quality (n,) from popularity priors: the logarithm of the vote count, 1 from 100 votes on."""
    scale = np.log1p(VOTES_OF_A_HIT) / np.log1p(KNOWN_VOTES)
    quality: Array = np.minimum(1.0, np.sqrt(votes) * scale).astype(np.float32)
    return quality


def similarity_features(
    queries: ItemFeatures, items: ItemFeatures, names: Sequence[str] = FEATURES
) -> dict[str, Array]:
    """Similarity of each query to each item by feature name, each (n_queries, n_items).

    `items` are transposed by `by_term`. Only the features in `names` are computed.
    """
    shape = (len(queries.votes), len(items.votes))
    compute: dict[str, Callable[[], Array]] = {
        "content": lambda: queries.content @ items.content.T,
        "words": lambda: (queries.words @ items.words).toarray(),
        "title": lambda: (queries.titles @ items.titles).toarray(),
        "hidden": lambda: queries.hidden @ items.hidden.T,
        "genre": lambda: queries.genres @ items.affinities.T,
        "people": lambda: (queries.people @ items.people).toarray(),
        "keywords": lambda: (queries.keywords @ items.keywords).toarray(),
        "year": lambda: year_proximity(queries.years, items.years),
        "quality": lambda: np.broadcast_to(quality_prior(items.votes), shape),
        "votes": lambda: np.broadcast_to(items.votes, shape),
    }
    return {name: compute[name]() for name in names}


def mean_similarities(features: Mapping[str, Array]) -> dict[str, Array]:
    """Mean (1, n_items) over the queries of each similarity feature."""
    return {
        name: part if len(part) == 1 else part.mean(axis=0, keepdims=True)
        for name, part in features.items()
    }


def weighted_scores(features: Mapping[str, Array], config: RankConfig) -> Array:
    """Weighted mean (n_queries, n_items) of similarity features."""
    weights = {name: getattr(config, name) for name in FEATURES if getattr(config, name)}
    if not weights:
        return np.zeros_like(next(iter(features.values())))
    total_weight, (first, *others) = sum(weights.values()), weights
    total: Array = features[first] * np.float32(weights[first] / total_weight)
    for name in others:
        total += features[name] * np.float32(weights[name] / total_weight)
    return total


def used_features(config: RankConfig) -> list[str]:
    """Names of the features with a weight above 0; the first feature if there is none."""
    return [name for name in FEATURES if getattr(config, name)] or [FEATURES[0]]


def top_positions(scores: Array, count: int) -> NDArray[np.int64]:
    """Positions of the `count` highest `scores` (n,), best first; ties ordered by position.

    At least `count` groups have a maximum as high as the `count`-th highest of the maxima, so that
    only scores from there on have to be sorted: this takes a tenth of `np.argpartition`.
    """
    count = min(count, len(scores))
    if not count:
        return np.arange(0)
    starts = np.arange(0, len(scores), max(1, min(GROUP, len(scores) // count)))
    maxima = np.maximum.reduceat(scores, starts)
    lowest = np.partition(maxima, len(maxima) - count)[len(maxima) - count]
    best = np.flatnonzero(scores >= lowest)
    ordered: NDArray[np.int64] = best[np.lexsort((best, -scores[best]))][:count]
    return ordered


def drop_duplicates(
    ranked_rows: Sequence[int],
    duplicate_keys: Sequence[NDArray[np.int64]],
    query_rows: Sequence[int],
    limit: int,
) -> list[int]:
    """The first `limit` ranked rows without the query movies and without duplicates.

    Movies with an equal value in one of the `duplicate_keys`, each (n_movies,), are duplicates.
    """
    seen = [{int(key[row]) for row in query_rows} for key in duplicate_keys]
    unique_rows: list[int] = []
    for row in ranked_rows:
        keys = [int(key[row]) for key in duplicate_keys]
        is_duplicate = any(key in seen_keys for key, seen_keys in zip(keys, seen, strict=True))
        if row in query_rows or is_duplicate:
            continue
        for key, seen_keys in zip(keys, seen, strict=True):
            seen_keys.add(key)
        unique_rows.append(int(row))
        if len(unique_rows) == limit:
            break
    return unique_rows


def mmr_rerank(scores: Array, content: Array, limit: int, diversity: float) -> list[int]:
    """Positions selected by maximal marginal relevance (Carbonell & Goldstein, 1998).

    `scores` (n,) are sorted in descending order, `content` (n, size) has unit rows. A movie's score
    is reduced by `diversity` × its highest cosine to an earlier pick × the best score.
    """
    if not diversity:
        return list(range(min(limit, len(scores))))
    selected, penalty = list[int](), np.zeros(len(scores), np.float32)
    for _ in range(min(limit, len(scores))):
        marginal = scores - diversity * scores.max() * penalty
        marginal[selected] = -np.inf
        selected.append(int(marginal.argmax()))
        penalty = np.maximum(penalty, content @ content[selected[-1]])
    return selected


def score_contributions(
    features: dict[str, Array], config: RankConfig, row: int
) -> dict[str, float]:
    """Contribution of each feature to the score of one item, averaged over the queries."""
    weights = {name: getattr(config, name) for name in FEATURES}
    total = sum(weights.values()) or 1.0
    return {
        name: float(weight * features[name][:, row].mean() / total) if weight else 0.0
        for name, weight in weights.items()
    }


def common_words(
    query_words: sp.csr_array, item_words: sp.csr_array, vocabulary: Sequence[str], count: int = 5
) -> list[str]:
    """Up to `count` words that queries share with one item, highest TF-IDF product first."""
    weights = np.bincount(query_words.indices, query_words.data, minlength=len(vocabulary))
    products = weights[item_words.indices] * item_words.data
    order = np.lexsort((item_words.indices, -products))[:count]
    return [vocabulary[item_words.indices[place]] for place in order if products[place] > 0]
